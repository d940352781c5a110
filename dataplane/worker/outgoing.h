// Frames that the management thread sends: queues of a device belong to the workers, so it hands them
// to the first one. The management thread and that worker only.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstdint>
#include <memory>
#include <span>

#include "lib/base/result.h"

namespace fairlead {

class Outgoing {
 public:
  // Frames are copied into buffers of `pool`, which outlives this.
  static Result<std::unique_ptr<Outgoing>> Create(rte_mempool* pool);
  // REQUIRES that the worker has ended.
  ~Outgoing() { Clear(); }

  // Management thread. False: there is no room, or no buffer.
  bool Put(uint16_t port_index, std::span<const uint8_t> frame);
  // What nobody took. REQUIRES that the worker has ended.
  void Clear();

  // Worker.
  bool empty() const { return rte_ring_empty(ring_.get()) != 0; }
  // Up to `most` frames; buffer->port is the port index.
  uint32_t Take(rte_mbuf** buffers, uint32_t most) {
    return rte_ring_sc_dequeue_burst(ring_.get(), reinterpret_cast<void**>(buffers), most, nullptr);
  }

 private:
  struct FreeRing {
    void operator()(rte_ring* ring) const { rte_ring_free(ring); }
  };
  Outgoing(rte_mempool* pool, rte_ring* ring) : pool_(pool), ring_(ring) {}

  rte_mempool* pool_;
  std::unique_ptr<rte_ring, FreeRing> ring_;
};

}  // namespace fairlead
