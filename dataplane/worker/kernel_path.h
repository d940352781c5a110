// A worker's share of the exception path of poll-mode NICs. The kernel does not see such a NIC, so
// the port has a TAP interface. Frames that are not for a frontend go to the TAP. Frames that the
// kernel sends there leave by the port, without inspection.
//
//     NIC -> ... verdict to_kernel -> Enqueue -> TAP (wan0) -> kernel
//     NIC <---------------- Poll <-------------- TAP (wan0) <- kernel
//
// Counting. A frame to the kernel counts once as to_kernel, even if it is lost here. Frames from
// the kernel do not pass the pipeline, so no pipeline counter includes them. This path has two
// sums: to_kernel = delivered + lost (over all ports with a TAP), received = sent + unsent.
//
// Each worker has its own, and uses the queue with its own index on both devices.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <vector>

#include "dataplane/pipeline/burst.h"
#include "lib/link/stats.h"

namespace fairlead {

inline constexpr uint16_t kNoTap = 0xffff;

// DPDK's ids of a port and its TAP.
struct KernelPort {
  uint16_t port_id;
  uint16_t tap_id;  // kNoTap: there is no path to the kernel
};

class KernelPath {
 public:
  KernelPath(uint16_t queue, const std::vector<KernelPort>& ports);

  bool Takes(uint16_t port_index) const { return lanes_[port_index].tap_id != kNoTap; }
  // REQUIRES Takes(port_index). The path owns the buffer now.
  void Enqueue(uint16_t port_index, rte_mbuf* buffer) {
    Lane& lane = lanes_[port_index];
    if (lane.count == kMaxBurst) Flush(&lane);
    lane.buffers[lane.count++] = buffer;
  }
  // Sends all enqueued frames.
  void Flush() {
    for (Lane& lane : lanes_) {
      if (lane.count != 0) Flush(&lane);
    }
  }
  // Moves a burst from every TAP to its port. Returns the number of frames received.
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
