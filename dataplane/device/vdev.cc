// A device created by EAL arguments (--vdev NAME,...).
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
    .syntax = "vdev:NAME", .name = "vdev", .parse = Parse, .claim = Claim};

}  // namespace fairlead
