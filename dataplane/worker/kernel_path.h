// A worker's share of the exception path of poll-mode NICs: the kernel does not see such a NIC, so
// the port has a TAP interface beside it. What is not for a frontend goes out of the TAP, and what
// the kernel sends there leaves by the port, unexamined.
//
//     NIC -> ... verdict to_kernel -> Enqueue -> TAP (wan0) -> kernel
//     NIC <---------------- Poll <-------------- TAP (wan0) <- kernel
//
// Counting. A frame for the kernel has its verdict, to_kernel, once, whatever becomes of it here;
// frames of the kernel are no packets of the pipeline and are in none of its sums. The path has two
// sums of its own: to_kernel = delivered + lost (over all ports with a TAP), received = sent + unsent.
//
// Owned by one worker, which uses the queue of its own index on both devices.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <vector>

#include "dataplane/pipeline/burst.h"
#include "lib/link/stats.h"

namespace fairlead {

inline constexpr uint16_t kNoTap = 0xffff;

// By port index; DPDK's ids.
struct KernelPort {
  uint16_t port_id;
  uint16_t tap_id;  // kNoTap: what is the kernel's goes nowhere
};

class KernelPath {
 public:
  KernelPath(uint16_t queue, const std::vector<KernelPort>& ports);

  bool Takes(uint16_t port_index) const { return lanes_[port_index].tap_id != kNoTap; }
  // REQUIRES Takes(port_index). The path owns the buffer.
  void Enqueue(uint16_t port_index, rte_mbuf* buffer) {
    Lane& lane = lanes_[port_index];
    if (lane.count == kMaxBurst) Flush(&lane);
    lane.buffers[lane.count++] = buffer;
  }
  // Sends what is enqueued.
  void Flush() {
    for (Lane& lane : lanes_) {
      if (lane.count != 0) Flush(&lane);
    }
  }
  // Moves a burst from every TAP to its port; the number of frames.
  uint32_t Poll();

  // Any thread.
  KernelPathStats Stats(uint16_t port_index) const;

 private:
  struct Lane {
    uint16_t port_id = 0;
    uint16_t tap_id = kNoTap;
    uint32_t count = 0;
    rte_mbuf* buffers[kMaxBurst] = {};
    KernelPathStats stats;
  };

  void Flush(Lane* lane);

  uint16_t queue_;
  std::vector<Lane> lanes_;
  std::vector<uint16_t> with_tap_;  // indices into lanes_
};

}  // namespace fairlead
