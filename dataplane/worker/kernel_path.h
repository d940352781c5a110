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
// Each worker has its own, and uses the TAP's queue with its own index. A look into a TAP is a
// system call, so a worker that is busy looks only every 50 us.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <vector>

#include "dataplane/device/tap_interface.h"
#include "dataplane/pipeline/burst.h"
#include "dataplane/worker/port_queues.h"
#include "lib/link/stats.h"

namespace fairlead {

class KernelPath {
 public:
  // `ports` and `taps`: by port index; null: the port has no path to the kernel. `pool`: for frames
  // from the kernel. `tsc_hz`: of the times that Poll() gets.
  KernelPath(uint32_t worker, const std::vector<PortQueues>& ports,
             const std::vector<const TapInterface*>& taps, rte_mempool* pool, uint64_t tsc_hz);

  bool Takes(uint16_t port_index) const { return lanes_[port_index].tap != nullptr; }
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
  // Moves a burst from every TAP to its port, if the last time is long enough ago. Returns the
  // number of frames received.
  uint32_t Poll(uint64_t now_tsc) {
    if (with_tap_.empty() || now_tsc < next_poll_tsc_) return 0;
    return PollTaps(now_tsc);
  }

  // Any thread.
  KernelPathStats Stats(uint16_t port_index) const;

 private:
  struct Lane {
    TxQueue port;  // where frames from the kernel leave
    const TapInterface* tap;
    uint32_t count = 0;
    rte_mbuf* buffers[kMaxBurst] = {};
    KernelPathStats stats = {};
  };

  void Flush(Lane* lane);
  uint32_t PollTaps(uint64_t now_tsc);
  // Reads frames of the lane's TAP into new buffers. Returns how many.
  uint16_t ReadBurst(const Lane& lane, rte_mbuf** buffers);

  uint16_t queue_;  // of the TAPs
  rte_mempool* pool_;
  uint64_t poll_period_tsc_;
  uint64_t next_poll_tsc_ = 0;
  std::vector<Lane> lanes_;
  std::vector<uint16_t> with_tap_;  // indices into lanes_
};

}  // namespace fairlead
