// The pipeline's buffers in plain memory, for runs without mbufs (packet_harness.h, the pipeline's
// fuzzer). Each frame has a separate allocation with exactly its headroom and tailroom, so
// AddressSanitizer detects every access beyond them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "dataplane/pipeline/burst.h"

namespace fairlead {

// The buffer into which a frame is received.
struct FrameLayout {
  uint16_t headroom = 128;
  uint16_t tailroom = 0;
  uint32_t linear_length = 0;  // contiguous bytes; 0, or more than the frame has: all
  bool nic_bad_ip_checksum = false;
};

class PlainBuffers final : public BufferSource {
 public:
  // Adds a received frame to the burst.
  void Receive(std::span<const uint8_t> frame, const FrameLayout& layout, Burst* burst);
  // The bytes of packet `i` in all of its segments.
  std::vector<uint8_t> Content(const Burst& burst, uint32_t i) const;
  // The number of frames that are not freed, including fragments that wait.
  size_t in_use() const { return frames_.size(); }

  bool Allocate(uint32_t headroom, uint32_t capacity, MadeFrame* out) override;
  void Free(void* handle) override;
  void CopyTail(void* handle, uint32_t offset, uint32_t length, uint8_t* out) const override;
  bool Gather(Burst* burst, uint32_t i) override;
  uint64_t Hold(const Burst& burst, uint32_t i) override;
  void Resume(uint64_t held, Burst* burst, uint32_t i) override;

 private:
  struct Frame {
    std::unique_ptr<uint8_t[]> memory;
    std::vector<uint8_t> tail;  // the bytes of further segments
    // The burst's fields when the frame began to wait.
    uint32_t offset = 0;  // of the frame in `memory`
    uint32_t linear_length = 0;
    uint32_t frame_length = 0;
    uint16_t headroom = 0;
    uint16_t tailroom = 0;
    uint16_t ingress_port = 0;
    bool nic_bad_ip_checksum = false;
  };

  Frame* Add();

  std::unordered_map<void*, std::unique_ptr<Frame>> frames_;  // by handle
};

}  // namespace fairlead
