// DPDK telemetry commands (dpdk-telemetry.py): /fairlead/stats; /fairlead/services, /fairlead/ports
// and /fairlead/backends,SERVICE list names, /fairlead/services,NAME, /fairlead/ports,NAME and
// /fairlead/backends,SERVICE,ADDRESS show counters. They run in telemetry's own thread.
#pragma once

#include "dataplane/manage/manager.h"
#include "dataplane/port/port.h"

namespace fairlead {

// Registers the commands, once per process; false when telemetry refuses one. All three must outlive
// StopTelemetry; `kernel_paths` is called from telemetry's thread.
bool StartTelemetry(Manager* manager, const PortSet* ports,
                    std::function<std::vector<PortKernelPath>()> kernel_paths);

// Afterwards the commands answer with an error. Waits for one that runs.
void StopTelemetry();

}  // namespace fairlead
