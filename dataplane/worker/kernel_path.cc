#include "dataplane/worker/kernel_path.h"

#include "dataplane/pipeline/counters.h"

namespace fairlead {
namespace {

constexpr uint64_t kPollsPerSecond = 20'000;

}  // namespace

KernelPath::KernelPath(uint32_t worker, const std::vector<PortQueues>& ports,
                       const std::vector<const TapInterface*>& taps, rte_mempool* pool,
                       uint64_t tsc_hz)
    : queue_(static_cast<uint16_t>(worker)),
      pool_(pool),
      poll_period_tsc_(tsc_hz / kPollsPerSecond) {
  for (size_t index = 0; index < ports.size(); ++index) {
    lanes_.push_back({.port = ports[index].TxQueueOf(worker), .tap = taps[index]});
    if (taps[index] != nullptr) with_tap_.push_back(static_cast<uint16_t>(index));
  }
}

void KernelPath::Flush(Lane* lane) {
  uint32_t delivered = 0;
  for (uint32_t i = 0; i < lane->count; ++i) {
    // A frame is in one piece: buffers are as long as the longest frame of any port.
    const rte_mbuf* buffer = lane->buffers[i];
    delivered +=
        lane->tap->Write(queue_, {rte_pktmbuf_mtod(buffer, const uint8_t*), buffer->data_len});
  }
  rte_pktmbuf_free_bulk(lane->buffers, lane->count);
  Add(&lane->stats.delivered, delivered);
  Add(&lane->stats.lost, lane->count - delivered);
  lane->count = 0;
}

uint16_t KernelPath::ReadBurst(const Lane& lane, rte_mbuf** buffers) {
  uint16_t count = 0;
  while (count < kMaxBurst) {
    rte_mbuf* buffer = rte_pktmbuf_alloc(pool_);
    if (buffer == nullptr) break;
    const size_t length =
        lane.tap->Read(queue_, {rte_pktmbuf_mtod(buffer, uint8_t*), rte_pktmbuf_tailroom(buffer)});
    if (length == 0) {
      rte_pktmbuf_free(buffer);
      break;
    }
    buffer->data_len = static_cast<uint16_t>(length);
    buffer->pkt_len = static_cast<uint32_t>(length);
    buffers[count++] = buffer;
  }
  return count;
}

uint32_t KernelPath::PollTaps(uint64_t now_tsc) {
  uint32_t found = 0;
  bool may_have_more = false;
  for (const uint16_t index : with_tap_) {
    Lane& lane = lanes_[index];
    rte_mbuf* buffers[kMaxBurst];
    const uint16_t count = ReadBurst(lane, buffers);
    if (count == 0) continue;
    found += count;
    may_have_more |= count == kMaxBurst;
    const uint32_t sent = lane.port.Send(buffers, count);
    if (sent < count) rte_pktmbuf_free_bulk(buffers + sent, count - sent);
    Add(&lane.stats.received, count);
    Add(&lane.stats.sent, sent);
    Add(&lane.stats.unsent, count - sent);
  }
  if (!may_have_more) next_poll_tsc_ = now_tsc + poll_period_tsc_;
  return found;
}

KernelPathStats KernelPath::Stats(uint16_t port_index) const {
  const KernelPathStats& stats = lanes_[port_index].stats;
  return {ReadCounter(stats.delivered), ReadCounter(stats.lost), ReadCounter(stats.received),
          ReadCounter(stats.sent), ReadCounter(stats.unsent)};
}

}  // namespace fairlead
