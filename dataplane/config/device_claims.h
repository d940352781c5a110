// Checks the devices of the ports before DPDK starts, and claims them for this process. EAL opens
// PCI devices while it starts. A device that another process uses must not get there: without an
// IOMMU, EAL would reset it.
#pragma once

#include <vector>

#include "dataplane/config/config.h"
#include "dataplane/device/interface.h"
#include "lib/base/result.h"

namespace fairlead {

// The claims must live until the ports are closed. An error names the port and says what to do.
Result<std::vector<PortClaim>> ClaimDevices(const std::vector<PortConfig>& ports);

}  // namespace fairlead
