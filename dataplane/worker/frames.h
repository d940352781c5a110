// Conversion between DPDK's buffers and the pipeline's burst.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/pipeline/burst.h"
#include "lib/base/prefetch.h"

namespace fairlead {

// Prefetches what FillBurst will read.
inline void PrefetchBuffers(rte_mbuf* const* buffers, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) PrefetchLine(buffers[i]);
}

// The offset of the extra line that packets like the last ones need, from the frame; 0: none.
inline ptrdiff_t ExtraLine(const ArrivalHints& hints) {
  constexpr ptrdiff_t kLineBytes = 64;
  if (hints.mostly_tunnels) return -kLineBytes;
  return hints.mostly_ipv6 ? kLineBytes : 0;
}

// The next burst, which the stages prefetch while they work on `burst`, which is already filled.
inline NextBurst NextBurstOf(rte_mbuf* const* buffers, uint32_t count, const ArrivalHints& hints,
                             const Burst& burst) {
  const ptrdiff_t offset = burst.frame[0] - static_cast<const uint8_t*>(burst.handle[0]);
  return {reinterpret_cast<const uint8_t* const*>(buffers), count, offset,
          offset + ExtraLine(hints)};
}

// Fills the caller's arrays of `burst` with `count` received buffers of one port. Makes headers
// contiguous, puts back stripped VLAN tags, and prefetches the frames' lines that the stages will
// need. The burst owns the buffers now.
void FillBurst(rte_mbuf* const* buffers, uint32_t count, uint16_t port_index,
               const ArrivalHints& hints, Burst* burst);

// The same for one buffer, at index `i`, without changes to the buffer.
void FillOne(rte_mbuf* buffer, uint16_t port_index, Burst* burst, uint32_t i);

// Shortens the segments to pkt_len bytes in total. The first segment keeps its data_len.
void TrimSegments(rte_mbuf* buffer);

// Updates the buffer of packet `i` from the burst: start, lengths, segments. Clears the receiving
// driver's flags, so that no offload flag reaches a transmit queue.
inline rte_mbuf* TakeFrame(const Burst& burst, uint32_t i) {
  auto* const buffer = static_cast<rte_mbuf*>(burst.handle[i]);
  buffer->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  buffer->data_off =
      static_cast<uint16_t>(burst.frame[i] - static_cast<uint8_t*>(buffer->buf_addr));
  buffer->data_len = static_cast<uint16_t>(burst.linear_length[i]);
  buffer->pkt_len = burst.frame_length[i];
  // Replies, first pieces and packets without their padding are shorter than before.
  if (buffer->nb_segs > 1) [[unlikely]]
    TrimSegments(buffer);
  return buffer;
}

// Moves the first kMaxHeaderBytes (or all bytes) of a packet of several segments into the first
// segment. False if the first buffer is too small. The packet's content never changes.
bool LineariseHeaders(rte_mbuf* buffer);

}  // namespace fairlead
