// The TAP interface beside a poll-mode port (worker/kernel_path.h): DPDK's net_tap, with a queue
// pair for each worker, the port's MAC address and its MTU. Main thread.
#pragma once

#include <rte_mempool.h>

#include <cstdint>

#include "dataplane/config/config.h"
#include "dataplane/pipeline/pipeline.h"
#include "lib/base/result.h"

namespace fairlead {

inline constexpr uint16_t kTapDescriptors = 256;  // buffers in one queue of the TAP

// Creates and starts the TAP. Returns DPDK's id. The interface is up and has no address. It
// disappears when the device is closed. `port_index` makes its DPDK name unique. An error message
// names the TAP, not the port. REQUIRES config.kernel_tap.
Result<uint16_t> OpenKernelTap(const PortConfig& config, uint32_t port_index, const PortView& view,
                               uint32_t worker_count, rte_mempool* pool);

}  // namespace fairlead
