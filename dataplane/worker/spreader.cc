#include "dataplane/worker/spreader.h"

#include <algorithm>
#include <string>

#include "lib/flow/spread_hash.h"

namespace fairlead {
namespace {

constexpr uint32_t kPrefetchAhead = 8;  // packets

void PrefetchFrame(const rte_mbuf* buffer) {
  PrefetchLine(rte_pktmbuf_mtod(buffer, const uint8_t*));
}

}  // namespace

Result<std::unique_ptr<Spreader>> Spreader::Create(uint32_t port_index, uint32_t receiver,
                                                   uint32_t worker_count, uint64_t seed) {
  std::unique_ptr<Spreader> spreader(new Spreader(receiver, worker_count, seed));
  for (uint32_t share = 1; share < worker_count; ++share) {
    const std::string name = "fairlead_" + std::to_string(port_index) + "_" + std::to_string(share);
    rte_ring* ring = rte_ring_create(name.c_str(), kRingLength + 1, SOCKET_ID_ANY,
                                     RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (ring == nullptr) {
      return ResourceExhausted("cannot allocate the queues to " + std::to_string(worker_count - 1) +
                               " workers; reserve more hugepages, or use spread: off");
    }
    spreader->lanes_[share].ring.reset(ring);
  }
  return spreader;
}

Spreader::~Spreader() {
  for (Lane& lane : lanes_) {
    void* buffer = nullptr;
    while (lane.ring != nullptr && rte_ring_sc_dequeue(lane.ring.get(), &buffer) == 0) {
      rte_pktmbuf_free(static_cast<rte_mbuf*>(buffer));
    }
  }
}

uint32_t Spreader::PassOn(rte_mbuf** buffers, uint32_t count, WorkerCounters* counters) {
  for (uint32_t i = 0; i < std::min(count, kPrefetchAhead); ++i) PrefetchFrame(buffers[i]);
  uint32_t own = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (i + kPrefetchAhead < count) PrefetchFrame(buffers[i + kPrefetchAhead]);
    rte_mbuf* const buffer = buffers[i];
    const uint32_t share = ShareOf(SpreadHash(rte_pktmbuf_mtod(buffer, const uint8_t*),
                                              buffer->data_len, buffer->pkt_len, seed_),
                                   worker_count_);
    if (share == 0) {
      buffers[own++] = buffer;
    } else {
      Lane& lane = lanes_[share];
      lane.buffers[lane.count++] = buffer;
    }
  }
  for (Lane& lane : lanes_) {
    if (lane.count != 0) Flush(&lane, counters);
  }
  return own;
}

void Spreader::Flush(Lane* lane, WorkerCounters* counters) {
  const uint32_t taken = rte_ring_sp_enqueue_burst(
      lane->ring.get(), reinterpret_cast<void**>(lane->buffers), lane->count, nullptr);
  if (taken < lane->count) [[unlikely]] {
    const uint32_t lost = lane->count - taken;
    uint64_t bytes = 0;
    for (uint32_t i = taken; i < lane->count; ++i) bytes += lane->buffers[i]->pkt_len;
    Add(&counters->totals.rx_packets, lost);
    Add(&counters->totals.rx_bytes, bytes);
    Add(&counters->totals.drops[static_cast<size_t>(DropReason::k_spread_full)], lost);
    rte_pktmbuf_free_bulk(lane->buffers + taken, lost);
  }
  lane->count = 0;
}

}  // namespace fairlead
