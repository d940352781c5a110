// Checks the devices of the ports before DPDK starts, and claims them for this process. EAL opens
// PCI devices while it starts. A device that another process uses must not get there: without an
// IOMMU, EAL would reset it.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/config/config.h"
#include "dataplane/device/interface.h"
#include "lib/base/result.h"

namespace fairlead {

// Waits until the devices of all ports are there, for at most `longest`. Calls `waiting` before it
// waits for a device, with what that is: "af_packet:eth1 of port wan". Main thread.
void AwaitDevices(const std::vector<PortConfig>& ports, std::chrono::milliseconds longest,
                  const std::function<void(const std::string& device)>& waiting);

// The claims must live until the ports are closed. An error names the port and says what to do.
Result<std::vector<PortClaim>> ClaimDevices(const std::vector<PortConfig>& ports);

}  // namespace fairlead
