// The TAP interface beside a poll-mode port (worker/kernel_path.h): DPDK's net_tap, with a queue pair
// for each worker, the port's MAC address and its MTU. Main thread.
#pragma once

#include <rte_mempool.h>

#include <cstdint>

#include "dataplane/config/config.h"
#include "dataplane/pipeline/pipeline.h"
#include "lib/base/result.h"

namespace fairlead {

inline constexpr uint16_t kTapDescriptors = 256;  // buffers that a queue of it holds

// Makes and starts it; DPDK's id. The interface is up, has no address, and goes when the device is
// closed. `port_index` makes DPDK's name of it unique. The message of a failure is about the TAP
// alone. REQUIRES config.kernel_tap.
Result<uint16_t> OpenKernelTap(const PortConfig& config, uint32_t port_index, const PortView& view,
                               uint32_t worker_count, rte_mempool* pool);

}  // namespace fairlead
