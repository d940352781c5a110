// Spreads the packets of a port with one receive queue over all workers.
//
//     NIC queue 0 -> receiver -- own share ----------------> ProcessBatch
//                        \------ ring of worker 1 -> Take -> ProcessBatch of worker 1
//                         \----- ring of worker 2 -> Take -> ...
//
// A worker's ring takes the place of its receive queue. The flow's hash selects the worker
// (lib/flow/spread_hash.h), the receiver passes packets on in the order of their arrival, and a
// ring keeps it: so the packets of a flow stay in order. A ring is as long as a receive queue. If
// it is full, the receiver drops packets as spread_full. It counts them as received, too: all other
// packets are counted by the worker that processes them.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/pipeline/counters.h"
#include "dataplane/worker/batch.h"
#include "lib/base/result.h"

namespace fairlead {

class Spreader {
 public:
  // Packets that wait for one worker, at most.
  static constexpr uint32_t kRingLength = 1023;

  // `port_index` makes the rings' names. `receiver`: the worker that polls the port's queue.
  // REQUIRES receiver < worker_count.
  static Result<std::unique_ptr<Spreader>> Create(uint32_t port_index, uint32_t receiver,
                                                  uint32_t worker_count, uint64_t seed);
  // REQUIRES that the workers have ended. Frees the packets in the rings.
  ~Spreader();
  Spreader(const Spreader&) = delete;
  Spreader& operator=(const Spreader&) = delete;

  // The receiver. Passes on the packets that are for other workers, or drops them and counts that.
  // Moves the receiver's own to the front, in order, and returns their number. REQUIRES count <=
  // kMaxBatch.
  uint32_t PassOn(rte_mbuf** buffers, uint32_t count, WorkerCounters* counters);

  // Any other worker. Takes up to `most` of its packets. Returns their number.
  uint32_t Take(uint32_t worker, rte_mbuf** buffers, uint32_t most) {
    return rte_ring_sc_dequeue_burst(lanes_[ShareOfWorker(worker)].ring.get(),
                                     reinterpret_cast<void**>(buffers), most, nullptr);
  }

 private:
  struct FreeRing {
    void operator()(rte_ring* ring) const { rte_ring_free(ring); }
  };
  // To one worker. Share 0, the receiver's, has no ring.
  struct Lane {
    std::unique_ptr<rte_ring, FreeRing> ring;
    uint32_t count = 0;
    rte_mbuf* buffers[kMaxBatch];
  };

  Spreader(uint32_t receiver, uint32_t worker_count, uint64_t seed)
      : receiver_(receiver), worker_count_(worker_count), seed_(seed), lanes_(worker_count) {}

  // The receiver has share 0, the next worker share 1, and so on.
  uint32_t ShareOfWorker(uint32_t worker) const {
    return worker >= receiver_ ? worker - receiver_ : worker + worker_count_ - receiver_;
  }
  void Flush(Lane* lane, WorkerCounters* counters);

  uint32_t receiver_;
  uint32_t worker_count_;
  uint64_t seed_;
  std::vector<Lane> lanes_;  // by share
};

}  // namespace fairlead
