// DPDK for tests of this folder: without huge pages, files and devices.
#pragma once

#include <rte_mbuf.h>

namespace fairlead {

// A new pool of packet buffers. The first call starts EAL. Aborts on failure.
rte_mempool* NewPool(const char* name, uint32_t buffer_count, uint16_t data_bytes);

}  // namespace fairlead
