// Between DPDK's buffers and the pipeline's burst.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/pipeline/burst.h"

namespace fairlead {

// Fills the caller's arrays of `burst` with `count` received buffers of one port, having put their
// headers into one piece and a stripped VLAN tag back in its place. The burst owns them now.
void FillBurst(rte_mbuf* const* buffers, uint32_t count, uint16_t port_index, Burst* burst);

// The same for one buffer, as it is, at place `i`.
void FillOne(rte_mbuf* buffer, uint16_t port_index, Burst* burst, uint32_t i);

// Makes the buffer of packet `i` what the pipeline made of the frame, and clears what the receiving
// driver noted on it, so that no offload flag reaches a transmit queue.
rte_mbuf* TakeFrame(const Burst& burst, uint32_t i);

// Puts the first kMaxHeaderBytes (or all) of a packet of several segments into the first. False
// when its first buffer is too small for that; the packet is unchanged then.
bool LineariseHeaders(rte_mbuf* buffer);

}  // namespace fairlead
