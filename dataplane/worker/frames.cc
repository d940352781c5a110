#include "dataplane/worker/frames.h"

#include <rte_ether.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace fairlead {
namespace {

constexpr uint32_t kLineBytes = 64;

// What a driver did not leave in the bytes is put back there, or could not be parsed and sent on.
// Rare: drivers strip tags only when asked to, except AF_PACKET's.
void Restore(rte_mbuf** buffer) {
  if ((*buffer)->nb_segs > 1) LineariseHeaders(*buffer);
  if (((*buffer)->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
    rte_vlan_insert(buffer);  // fails without headroom only; the tag is lost then
  }
}

// Leaves the buffer's segments as many bytes as the frame has, of which its first has data_len.
void Trim(rte_mbuf* buffer) {
  uint32_t left = buffer->pkt_len - buffer->data_len;
  rte_mbuf* last = buffer;
  while (left != 0) {
    last = last->next;
    last->data_len = static_cast<uint16_t>(std::min<uint32_t>(last->data_len, left));
    left -= last->data_len;
  }
  for (rte_mbuf* rest = std::exchange(last->next, nullptr); rest != nullptr;) {
    rte_mbuf* const next = rest->next;
    rest->next = nullptr;
    rest->nb_segs = 1;
    rte_pktmbuf_free_seg(rest);
    --buffer->nb_segs;
    rest = next;
  }
}

[[gnu::always_inline]] inline void Fill(rte_mbuf* buffer, uint16_t port_index, Burst* burst,
                                        uint32_t i) {
  burst->frame[i] = rte_pktmbuf_mtod(buffer, uint8_t*);
  burst->linear_length[i] = buffer->data_len;
  burst->frame_length[i] = buffer->pkt_len;
  burst->headroom[i] = buffer->data_off;
  burst->tailroom[i] = static_cast<uint16_t>(buffer->buf_len - buffer->data_off - buffer->data_len);
  burst->ingress_port[i] = port_index;
  burst->nic_bad_ip_checksum[i] =
      (buffer->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_BAD;
  burst->handle[i] = buffer;
}

}  // namespace

bool LineariseHeaders(rte_mbuf* buffer) {
  const uint32_t wanted = std::min(kMaxHeaderBytes, buffer->pkt_len);
  while (buffer->data_len < wanted) {
    rte_mbuf* const next = buffer->next;
    const uint32_t missing = wanted - buffer->data_len;
    const auto moved = static_cast<uint16_t>(std::min<uint32_t>(missing, next->data_len));
    if (rte_pktmbuf_tailroom(buffer) < moved) return false;
    std::memcpy(rte_pktmbuf_mtod_offset(buffer, uint8_t*, buffer->data_len),
                rte_pktmbuf_mtod(next, const uint8_t*), moved);
    buffer->data_len = static_cast<uint16_t>(buffer->data_len + moved);
    next->data_len = static_cast<uint16_t>(next->data_len - moved);
    next->data_off = static_cast<uint16_t>(next->data_off + moved);
    if (next->data_len == 0) {
      buffer->next = next->next;
      --buffer->nb_segs;
      next->next = nullptr;
      next->nb_segs = 1;
      rte_pktmbuf_free_seg(next);
    }
  }
  return true;
}

void FillOne(rte_mbuf* buffer, uint16_t port_index, Burst* burst, uint32_t i) {
  Fill(buffer, port_index, burst, i);
}

void FillBurst(rte_mbuf* const* buffers, uint32_t count, uint16_t port_index, Burst* burst) {
  constexpr uint64_t kUnusual = RTE_MBUF_F_RX_VLAN_STRIPPED;
  // What a burst needs beyond each frame's first line is asked for together with it, going by what the
  // burst before needed: a line from memory that nobody wanted costs some 37 cycles a packet.
  // (2026-11, bench/pipeline.cc, none, buffers:131072, A B A B: v6/dsr 245 -> 213, v4/ipip 287 -> 248,
  // v4/gue 331 -> 252 cycles a packet; v4/dsr as before.)
  const bool second_line = burst->mostly_ipv6;
  const bool headroom = burst->mostly_tunnels;
  for (uint32_t i = 0; i < count; ++i) __builtin_prefetch(buffers[i]);
  for (uint32_t i = 0; i < count; ++i) {
    rte_mbuf* buffer = buffers[i];
    if (buffer->nb_segs > 1 || (buffer->ol_flags & kUnusual) != 0) [[unlikely]]
      Restore(&buffer);
    Fill(buffer, port_index, burst, i);
    __builtin_prefetch(burst->frame[i]);
    if (second_line) __builtin_prefetch(burst->frame[i] + kLineBytes);
    if (headroom) __builtin_prefetch(burst->frame[i] - kLineBytes, 1);
  }
  burst->count = count;
}

rte_mbuf* TakeFrame(const Burst& burst, uint32_t i) {
  auto* const buffer = static_cast<rte_mbuf*>(burst.handle[i]);
  buffer->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  buffer->data_off =
      static_cast<uint16_t>(burst.frame[i] - static_cast<uint8_t*>(buffer->buf_addr));
  buffer->data_len = static_cast<uint16_t>(burst.linear_length[i]);
  buffer->pkt_len = burst.frame_length[i];
  // A reply, the first piece of a cut packet, a packet without its padding: shorter than it was.
  if (buffer->nb_segs > 1) [[unlikely]]
    Trim(buffer);
  return buffer;
}

}  // namespace fairlead
