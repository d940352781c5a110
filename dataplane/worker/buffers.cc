#include "dataplane/worker/buffers.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/worker/frames.h"

namespace fairlead {

bool MbufSource::Allocate(uint32_t headroom, uint32_t capacity, MadeFrame* out) {
  rte_mbuf* const buffer = rte_pktmbuf_alloc(pool_);
  if (buffer == nullptr) return false;
  if (headroom > buffer->data_off || capacity > rte_pktmbuf_tailroom(buffer)) {
    rte_pktmbuf_free(buffer);
    return false;
  }
  out->handle = buffer;
  out->frame = rte_pktmbuf_mtod(buffer, uint8_t*);
  return true;
}

void MbufSource::Free(void* handle) { rte_pktmbuf_free(static_cast<rte_mbuf*>(handle)); }

void MbufSource::CopyTail(void* handle, uint32_t offset, uint32_t length, uint8_t* out) const {
  const rte_mbuf* segment = static_cast<const rte_mbuf*>(handle)->next;
  for (; length != 0 && segment != nullptr; segment = segment->next) {
    if (offset >= segment->data_len) {
      offset -= segment->data_len;
      continue;
    }
    const uint32_t here = std::min<uint32_t>(length, segment->data_len - offset);
    std::memcpy(out, rte_pktmbuf_mtod_offset(segment, const uint8_t*, offset), here);
    out += here;
    length -= here;
    offset = 0;
  }
}

bool MbufSource::Gather(Burst* burst, uint32_t i) {
  auto* const buffer = static_cast<rte_mbuf*>(burst->handle[i]);
  if (rte_pktmbuf_linearize(buffer) != 0) return false;
  burst->linear_length[i] = buffer->data_len;
  burst->tailroom[i] = rte_pktmbuf_tailroom(buffer);
  return true;
}

uint64_t MbufSource::Hold(const Burst& burst, uint32_t i) {
  auto* const buffer = static_cast<rte_mbuf*>(burst.handle[i]);
  buffer->port = burst.ingress_port[i];
  return reinterpret_cast<uint64_t>(buffer);
}

void MbufSource::Resume(uint64_t held, Burst* burst, uint32_t i) {
  auto* const buffer = reinterpret_cast<rte_mbuf*>(held);
  FillOne(buffer, buffer->port, burst, i);
}

}  // namespace fairlead
