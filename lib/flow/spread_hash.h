// The hash that selects the worker for a received frame. It is used where the NIC does not spread
// its frames over receive queues (dataplane/worker/spreader.h).
//
//   TCP and UDP            addresses, ports and protocol, so that a flow stays on one worker
//   fragments              addresses only, so that all fragments of a datagram meet on one worker
//   other IP               addresses and protocol; addresses only if the packet has a defect
//   ARP, all other frames  0
//
// The two directions of a flow may have different hashes. Nothing depends on it: workers share the
// flow records, and a nat reply needs none.
#pragma once

#include <cstdint>

namespace fairlead {

// Hashes `frame[0 .. linear_length)`, the contiguous start of a frame of `frame_length` bytes.
// `seed`: random, so that a client cannot aim its flows at one worker. Pure function; any thread.
uint32_t SpreadHash(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                    uint64_t seed);

// Maps a hash to a number below `count`, without division. 0 gives 0.
inline uint32_t ShareOf(uint32_t hash, uint32_t count) {
  return static_cast<uint32_t>((uint64_t{hash} * count) >> 32);
}

}  // namespace fairlead
