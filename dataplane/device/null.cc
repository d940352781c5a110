// Receives nothing, discards what is sent.
#include "dataplane/device/device.h"

namespace fairlead {
namespace {

std::string Arguments(const DeviceSpec&, const DeviceUse&) { return "no-rx=1"; }

}  // namespace

constinit const DeviceKind kNullDevice = {
    .syntax = "null", .name = "null", .vdev_prefix = "net_null_fl", .vdev_arguments = Arguments};

}  // namespace fairlead
