// A service's slots: which backend owns each hash value. 4 bytes a slot.
//
//   bits 31..30  state    settled (0) | shifting (1) | pinned (2)
//   bits 29..15  stable   the owner before the slot's first change; equal to current while settled
//   bits 14..0   current  the owner now
//
// Owners are indices within the service's backends, 0..0x7ffe; 0x7fff = nobody (no backend may
// serve).
//
//   state     when                                          what a packet without a record gets
//   settled   owner unchanged for the idle timeout T        current
//   shifting  from its first change, for T                  SYN: current; other: stable
//   pinned    after T, while records disagree with current  current
//
// Until part 3 every slot is settled (docs/limitations.md).
//
// Written by the management thread only; workers read single slots (relaxed), so a reader sees an
// old or a new slot, never a mix.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "lib/maglev/maglev_table.h"

namespace fairlead {

enum class SlotState : uint8_t { kSettled = 0, kShifting = 1, kPinned = 2 };

struct Slot {
  uint16_t current = kNoOwner;
  uint16_t stable = kNoOwner;
  SlotState state = SlotState::kSettled;

  uint32_t Pack() const {
    return (static_cast<uint32_t>(state) << 30) | (uint32_t{stable} << 15) | uint32_t{current};
  }
  static Slot Unpack(uint32_t word) {
    return {static_cast<uint16_t>(word & 0x7fff), static_cast<uint16_t>((word >> 15) & 0x7fff),
            static_cast<SlotState>(word >> 30)};
  }
};

class SlotTable {
 public:
  // All slots settled on `owners` (as BuildMaglev returns them).
  explicit SlotTable(std::span<const uint16_t> owners);

  uint32_t size() const { return size_; }
  Slot Load(uint32_t index) const {
    return Slot::Unpack(words_[index].load(std::memory_order_relaxed));
  }
  void Store(uint32_t index, const Slot& slot) {
    words_[index].store(slot.Pack(), std::memory_order_relaxed);
  }
  const std::atomic<uint32_t>* words() const { return words_.get(); }

 private:
  std::unique_ptr<std::atomic<uint32_t>[]> words_;
  uint32_t size_ = 0;
};

}  // namespace fairlead
