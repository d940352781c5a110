// BufferSource over plain memory. Each buffer is a heap block of exactly the requested size, so
// that AddressSanitizer detects an access outside it. A packet's handle points to the bytes behind
// its contiguous ones, or is null if the packet is contiguous.
#pragma once

#include <algorithm>
#include <cstring>
#include <list>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/pipeline/burst.h"

namespace fairlead::testing {

using Tail = std::vector<uint8_t>;

class MemoryBuffers final : public BufferSource {
 public:
  bool Allocate(uint32_t headroom, uint32_t capacity, MadeFrame* out) override {
    if (left == 0) return false;
    --left;
    made_.push_back(std::make_unique<uint8_t[]>(headroom + capacity));
    out->handle = made_.back().get();
    out->frame = made_.back().get() + headroom;
    return true;
  }

  void Free(void* handle) override {
    const auto found = std::find_if(made_.begin(), made_.end(),
                                    [&](const auto& block) { return block.get() == handle; });
    ASSERT_NE(found, made_.end()) << "freed twice, or not from Allocate";
    made_.erase(found);
    ++left;
  }

  void CopyTail(void* handle, uint32_t offset, uint32_t length, uint8_t* out) const override {
    const auto& tail = *static_cast<const Tail*>(handle);
    ASSERT_LE(uint64_t{offset} + length, tail.size());
    std::memcpy(out, tail.data() + offset, length);
  }

  bool Gather(Burst* burst, uint32_t i) override {
    if (!can_gather) return false;
    const Tail frame = WholeFrame(*burst, i);
    Place(frame, burst, i);
    return true;
  }

  uint64_t Hold(const Burst& burst, uint32_t i) override {
    held_.push_back({WholeFrame(burst, i), burst.ingress_port[i]});
    return reinterpret_cast<uint64_t>(&held_.back());
  }

  void Resume(uint64_t held, Burst* burst, uint32_t i) override {
    const auto& packet = *reinterpret_cast<const Held*>(held);
    Place(packet.frame, burst, i);
    burst->ingress_port[i] = packet.port;
  }

  // Frees the buffers of all frames that the pipeline made.
  void TakeBack() {
    left += static_cast<uint32_t>(made_.size());
    made_.clear();
  }
  size_t in_use() const { return made_.size(); }

  uint32_t left = 1000;  // buffers that Allocate can still provide
  bool can_gather = true;

 private:
  struct Held {
    Tail frame;
    uint16_t port;
  };

  static Tail WholeFrame(const Burst& burst, uint32_t i) {
    Tail frame(burst.frame[i], burst.frame[i] + burst.linear_length[i]);
    if (burst.handle[i] != nullptr) {
      const auto& tail = *static_cast<const Tail*>(burst.handle[i]);
      frame.insert(frame.end(), tail.begin(), tail.end());
    }
    EXPECT_EQ(frame.size(), burst.frame_length[i]);
    return frame;
  }

  void Place(const Tail& frame, Burst* burst, uint32_t i) {
    constexpr uint16_t kHeadroom = 128;  // as an mbuf has
    placed_.emplace_back(kHeadroom + frame.size());
    std::copy(frame.begin(), frame.end(), placed_.back().begin() + kHeadroom);
    burst->frame[i] = placed_.back().data() + kHeadroom;
    burst->linear_length[i] = burst->frame_length[i] = static_cast<uint32_t>(frame.size());
    burst->headroom[i] = kHeadroom;
    burst->tailroom[i] = 0;
    burst->nic_bad_ip_checksum[i] = false;
    burst->handle[i] = nullptr;
  }

  std::vector<std::unique_ptr<uint8_t[]>> made_;
  std::list<Held> held_;
  std::list<Tail> placed_;
};

}  // namespace fairlead::testing
