#include "dataplane/worker/kernel_path.h"

#include <rte_ethdev.h>

#include "dataplane/pipeline/counters.h"

namespace fairlead {
namespace {

// Sends as many buffers as the device accepts, and frees the rest. Returns the number sent.
uint16_t SendOrFree(uint16_t device, uint16_t queue, rte_mbuf** buffers, uint16_t count) {
  uint16_t sent = 0;
  while (sent < count) {
    const uint16_t taken = rte_eth_tx_burst(device, queue, buffers + sent, count - sent);
    if (taken == 0) break;
    sent = static_cast<uint16_t>(sent + taken);
  }
  if (sent < count) rte_pktmbuf_free_bulk(buffers + sent, count - sent);
  return sent;
}

}  // namespace

KernelPath::KernelPath(uint16_t queue, const std::vector<KernelPort>& ports)
    : queue_(queue), lanes_(ports.size()) {
  for (size_t index = 0; index < ports.size(); ++index) {
    lanes_[index].port_id = ports[index].port_id;
    lanes_[index].tap_id = ports[index].tap_id;
    if (ports[index].tap_id != kNoTap) with_tap_.push_back(static_cast<uint16_t>(index));
  }
}

void KernelPath::Flush(Lane* lane) {
  const auto count = static_cast<uint16_t>(lane->count);
  const uint16_t sent = SendOrFree(lane->tap_id, queue_, lane->buffers, count);
  Add(&lane->stats.delivered, sent);
  Add(&lane->stats.lost, count - sent);
  lane->count = 0;
}

uint32_t KernelPath::Poll() {
  uint32_t found = 0;
  for (const uint16_t index : with_tap_) {
    Lane& lane = lanes_[index];
    rte_mbuf* buffers[kMaxBurst];
    const uint16_t count = rte_eth_rx_burst(lane.tap_id, queue_, buffers, kMaxBurst);
    if (count == 0) continue;
    found += count;
    for (uint16_t i = 0; i < count; ++i) buffers[i]->ol_flags = 0;  // the TAP has set them
    const uint16_t sent = SendOrFree(lane.port_id, queue_, buffers, count);
    Add(&lane.stats.received, count);
    Add(&lane.stats.sent, sent);
    Add(&lane.stats.unsent, count - sent);
  }
  return found;
}

KernelPathStats KernelPath::Stats(uint16_t port_index) const {
  const KernelPathStats& stats = lanes_[port_index].stats;
  return {ReadCounter(stats.delivered), ReadCounter(stats.lost), ReadCounter(stats.received),
          ReadCounter(stats.sent), ReadCounter(stats.unsent)};
}

}  // namespace fairlead
