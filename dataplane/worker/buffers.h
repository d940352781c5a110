// The pipeline's BufferSource over mbufs.
#pragma once

#include <rte_mempool.h>

#include <cstdint>

#include "dataplane/pipeline/burst.h"

namespace fairlead {

class MbufSource final : public BufferSource {
 public:
  explicit MbufSource(rte_mempool* pool) : pool_(pool) {}

  bool Allocate(uint32_t headroom, uint32_t capacity, MadeFrame* out) override;
  void Free(void* handle) override;
  void CopyTail(void* handle, uint32_t offset, uint32_t length, uint8_t* out) const override;
  bool Gather(Burst* burst, uint32_t i) override;
  // The handle of a waiting packet is its mbuf. The mbuf's `port` is the index of the ingress port.
  uint64_t Hold(const Burst& burst, uint32_t i) override;
  void Resume(uint64_t held, Burst* burst, uint32_t i) override;

 private:
  rte_mempool* pool_;
};

}  // namespace fairlead
