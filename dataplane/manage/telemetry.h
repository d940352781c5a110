// DPDK telemetry commands (dpdk-telemetry.py). They run in telemetry's thread.
//
//   /fairlead/stats                                                     all counters
//   /fairlead/services       /fairlead/ports       /fairlead/backends,SERVICE          names
//   /fairlead/services,NAME  /fairlead/ports,NAME  /fairlead/backends,SERVICE,ADDRESS  counters
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "dataplane/manage/manager.h"
#include "dataplane/port/port.h"

namespace fairlead {

// Registers the commands, once per process. False if telemetry refuses one. All arguments must live
// until StopTelemetry. Telemetry's thread calls `kernel_paths` and `link_of`.
bool StartTelemetry(Manager* manager, const PortSet* ports,
                    std::function<std::vector<PortKernelPath>()> kernel_paths,
                    std::function<std::optional<LinkStats>(uint16_t port_index)> link_of);

// Waits for a running command. Afterwards the commands answer with an error.
void StopTelemetry();

}  // namespace fairlead
