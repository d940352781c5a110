// A new kernel interface. The port is its other end.
#include <net/if.h>

#include "dataplane/device/interface.h"
#include "dataplane/device/interface_device.h"

namespace fairlead {
namespace {

std::string Arguments(const DeviceSpec& spec, const DeviceUse&) { return "iface=" + spec.target; }

Status Check(const DeviceSpec& spec) {
  if (if_nametoindex(spec.target.c_str()) == 0) return {};
  if (ReadInterfaceDriver(spec.target) == "tun") return {};
  return FailedPrecondition("interface " + spec.target +
                            " already exists, and is not a TAP interface; choose another name, or "
                            "remove it (ip link delete " +
                            spec.target + ")");
}

}  // namespace

constinit const DeviceKind kTapDevice = {.syntax = "tap:NAME",
                                         .name = "tap",
                                         .parse = ParseInterface,
                                         .claim = ClaimInterface,
                                         .is_interface = true,
                                         .vdev_prefix = "net_tap_fl",
                                         .vdev_arguments = Arguments,
                                         .check = Check};

}  // namespace fairlead
