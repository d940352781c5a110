// A device that EAL arguments have made (--vdev NAME,...).
#include "dataplane/device/device.h"

namespace fairlead {
namespace {

Status Parse(std::string_view rest, DeviceSpec* spec) {
  if (rest.empty()) return InvalidArgument("device '" + spec->text + "': the name is missing");
  spec->target = rest;
  return {};
}

std::string Claim(const DeviceSpec& spec) { return "device " + spec.target; }

}  // namespace

constinit const DeviceKind kVdevDevice = {
    .form = "vdev:NAME", .word = "vdev", .parse = Parse, .claim = Claim};

}  // namespace fairlead
