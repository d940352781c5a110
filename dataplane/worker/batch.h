// What a worker does with the packets that one look at a queue found: up to four bursts, so that the
// lines of one come from memory while another is worked on (ComingBurst, burst.h). Nothing is held
// back from one look to the next: a queue that had less than a burst is served as if there were no
// batches.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>

#include "dataplane/pipeline/pipeline.h"
#include "dataplane/worker/frames.h"

namespace fairlead {

inline constexpr uint32_t kMaxBatch = 4 * kMaxBurst;

// Passes the `count` received buffers of that port through ProcessBurst, in order, and calls
// send(burst) after each.
template <typename Send>
inline void PassBatch(rte_mbuf* const* buffers, uint32_t count, uint16_t port_index,
                      PipelineContext& context, Burst& burst, Send send) {
  AskForBuffers(buffers, std::min(count, kMaxBurst));
  for (uint32_t first = 0; first < count; first += kMaxBurst) {
    const uint32_t size = std::min(count - first, kMaxBurst);
    FillBurst(buffers + first, size, port_index, context.hints, &burst);
    const uint32_t behind = first + size;
    context.coming =
        Coming(buffers + behind, std::min(count - behind, kMaxBurst), context.hints, burst);
    ProcessBurst(context, burst);
    send(burst);
  }
}

}  // namespace fairlead
