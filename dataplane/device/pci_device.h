// Whether DPDK can drive a PCI device: what sysfs says of it. Linux, no DPDK.
#pragma once

#include <string>

#include "lib/base/result.h"

namespace fairlead {

// Tests use other folders.
struct PciRoots {
  std::string sys = "/sys";
  std::string proc = "/proc";
};

// Fails if there is no such device, if it is bound to no driver, or if a driver of the kernel uses
// it that does not share it with DPDK. The message names driver and interface, and the command that
// helps. `address`: "0000:3b:00.0".
Status CheckPciDevice(const std::string& address, const PciRoots& roots = {});

}  // namespace fairlead
