// A new kernel interface. The port is its other end.
#include "dataplane/device/interface_device.h"

namespace fairlead {
namespace {

std::string Arguments(const DeviceSpec& spec, const DeviceUse&) { return "iface=" + spec.target; }

}  // namespace

constinit const DeviceKind kTapDevice = {.syntax = "tap:NAME",
                                         .name = "tap",
                                         .parse = ParseInterface,
                                         .claim = ClaimInterface,
                                         .is_interface = true,
                                         .vdev_prefix = "net_tap_fl",
                                         .vdev_arguments = Arguments};

}  // namespace fairlead
