// Processes the packets of one poll of a queue: a batch of up to four bursts. While the stages work
// on one burst, they prefetch the next (NextBurst, burst.h). No packet waits for the next poll:
// if a poll finds less than a burst, batches have no effect.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>

#include "dataplane/pipeline/pipeline.h"
#include "dataplane/worker/frames.h"

namespace fairlead {

inline constexpr uint32_t kMaxBatch = 4 * kMaxBurst;

// Passes the `count` received buffers of the port through ProcessBurst, in order. Calls send(burst)
// after each burst.
template <typename Send>
inline void ProcessBatch(rte_mbuf* const* buffers, uint32_t count, uint16_t port_index,
                         PipelineContext& context, Burst& burst, Send send) {
  PrefetchBuffers(buffers, std::min(count, kMaxBurst));
  for (uint32_t first = 0; first < count; first += kMaxBurst) {
    const uint32_t size = std::min(count - first, kMaxBurst);
    FillBurst(buffers + first, size, port_index, context.hints, &burst);
    const uint32_t behind = first + size;
    context.next_burst =
        NextBurstOf(buffers + behind, std::min(count - behind, kMaxBurst), context.hints, burst);
    ProcessBurst(context, burst);
    send(burst);
  }
}

}  // namespace fairlead
