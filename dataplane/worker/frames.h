// Between DPDK's buffers and the pipeline's burst.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/pipeline/burst.h"
#include "lib/base/prefetch.h"

namespace fairlead {

// Asks for what FillBurst will read.
inline void AskForBuffers(rte_mbuf* const* buffers, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) PrefetchLine(buffers[i]);
}

// Where the further line lies that packets like the last ones' want, from the frame's start; 0: none.
inline ptrdiff_t ExtraLine(const ArrivalHints& hints) {
  constexpr ptrdiff_t kLineBytes = 64;
  if (hints.mostly_tunnels) return -kLineBytes;
  return hints.mostly_ipv6 ? kLineBytes : 0;
}

// What the stages may ask for while they work on `burst`, which is filled.
inline ComingBurst Coming(rte_mbuf* const* buffers, uint32_t count, const ArrivalHints& hints,
                          const Burst& burst) {
  const ptrdiff_t offset = burst.frame[0] - static_cast<const uint8_t*>(burst.handle[0]);
  return {reinterpret_cast<const uint8_t* const*>(buffers), count, offset,
          offset + ExtraLine(hints)};
}

// Fills the caller's arrays of `burst` with `count` received buffers of one port, having put their
// headers into one piece and a stripped VLAN tag back in its place, and asks for the frames' lines
// that the stages will want. The burst owns the buffers now.
void FillBurst(rte_mbuf* const* buffers, uint32_t count, uint16_t port_index,
               const ArrivalHints& hints, Burst* burst);

// The same for one buffer, as it is, at place `i`.
void FillOne(rte_mbuf* buffer, uint16_t port_index, Burst* burst, uint32_t i);

// Leaves the buffer's segments as many bytes as the frame has, of which its first has data_len.
void TrimSegments(rte_mbuf* buffer);

// Makes the buffer of packet `i` what the pipeline made of the frame, and clears what the receiving
// driver noted on it, so that no offload flag reaches a transmit queue.
inline rte_mbuf* TakeFrame(const Burst& burst, uint32_t i) {
  auto* const buffer = static_cast<rte_mbuf*>(burst.handle[i]);
  buffer->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  buffer->data_off =
      static_cast<uint16_t>(burst.frame[i] - static_cast<uint8_t*>(buffer->buf_addr));
  buffer->data_len = static_cast<uint16_t>(burst.linear_length[i]);
  buffer->pkt_len = burst.frame_length[i];
  // A reply, the first piece of a cut packet, a packet without its padding: shorter than it was.
  if (buffer->nb_segs > 1) [[unlikely]]
    TrimSegments(buffer);
  return buffer;
}

// Puts the first kMaxHeaderBytes (or all) of a packet of several segments into the first. False
// when its first buffer is too small for that; the packet is unchanged then.
bool LineariseHeaders(rte_mbuf* buffer);

}  // namespace fairlead
