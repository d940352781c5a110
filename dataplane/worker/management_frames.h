// Frames from the management thread. Only workers may use a device's queues, so the first worker
// sends these frames. Only the management thread and that worker use this class.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstdint>
#include <memory>
#include <span>

#include "lib/base/result.h"

namespace fairlead {

class ManagementFrames {
 public:
  // Put copies frames into buffers of `pool`, which must outlive this.
  static Result<std::unique_ptr<ManagementFrames>> Create(rte_mempool* pool);
  // REQUIRES that the worker has ended.
  ~ManagementFrames() { Clear(); }

  // Management thread. False: there is no space, or no buffer.
  bool Put(uint16_t port_index, std::span<const uint8_t> frame);
  // Frees frames that were not sent. REQUIRES that the worker has ended.
  void Clear();

  // Worker.
  bool empty() const { return rte_ring_empty(ring_.get()) != 0; }
  // Takes up to `most` frames. buffer->port is the port index.
  uint32_t Take(rte_mbuf** buffers, uint32_t most) {
    return rte_ring_sc_dequeue_burst(ring_.get(), reinterpret_cast<void**>(buffers), most, nullptr);
  }

 private:
  struct FreeRing {
    void operator()(rte_ring* ring) const { rte_ring_free(ring); }
  };
  ManagementFrames(rte_mempool* pool, rte_ring* ring) : pool_(pool), ring_(ring) {}

  rte_mempool* pool_;
  std::unique_ptr<rte_ring, FreeRing> ring_;
};

}  // namespace fairlead
