// The slots of a service: which backend owns each hash value. 4 bytes a slot.
//
//   bits 31..30  state    settled (0) | shifting (1) | pinned (2)
//   bits 29..15  stable   shifting: the owner before the slot's first change; else as current
//   bits 14..0   current  the owner now
//
// Owners are indices within the service's backends, 0..0x7ffe. 0x7fff = no owner (no usable
// backend).
//
//   state     when                                          what a packet without a record gets
//   settled   owner unchanged for the idle timeout T        current
//   shifting  from its first change, for T                  SYN: current; other: stable
//   pinned    after T, while pins or former owners remain   current
//
// A change of owner comes with a new generation, and so with a new SlotTable (NextSlot below has
// the rules). The transitions shifting -> pinned -> settled happen in place, at the end of a sweep
// of the flow table:
//
//   t=0     change A -> B     shifting, stable A, current B
//   t=100   change B -> C     shifting, stable A, current C      (still until t=T)
//   t=T     end of a sweep    pinned, current C: every live flow of A has sent a packet and has a
//                             record
//   later   end of a sweep    settled: all records of this slot name C
//
// Only the management thread writes words. Workers read single words (relaxed), so a reader sees an
// old or a new slot, never a mix. Everything else is used by the management thread only.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/maglev/maglev_table.h"
#include "lib/table/slot_memory.h"

namespace fairlead {

enum class SlotState : uint8_t { kSettled = 0, kShifting = 1, kPinned = 2 };

constexpr const char* SlotStateName(SlotState state) {
  switch (state) {
    case SlotState::kSettled:
      return "settled";
    case SlotState::kShifting:
      return "shifting";
    case SlotState::kPinned:
      break;
  }
  return "pinned";
}

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
  // The test that most packets need, on the packed word.
  static bool IsSettled(uint32_t word) { return word < uint32_t{1} << 30; }
  friend bool operator==(const Slot&, const Slot&) = default;
};

// The state that follows `slot` when a new generation gives the slot to `owner`, which may be its
// current owner. REQUIRES that the owners in `slot` are local indices of the new generation;
// kNoOwner for a deleted backend. `window_over`: T has passed since the slot's first change.
// `*starts`: the slot begins to shift now, and T begins anew.
//
//   settled    same owner        settled
//   settled    another owner     shifting, stable = the old owner; settled at once if it had no
//                                owner or the old owner is deleted: none of its flows can be live
//   shifting   within T          shifting, stable unchanged; pinned if the stable owner is deleted:
//                                live flows are recorded
//   shifting   T is over         as pinned
//   pinned     same owner        pinned
//   pinned     another owner     shifting, stable = the old owner; pinned if that is deleted
Slot NextSlot(Slot slot, bool window_over, uint16_t owner, bool* starts);

// A slot that is not settled.
struct UnsettledSlot {
  uint32_t index : 24 = 0;
  uint32_t due : 1 = 0;      // T was over when the current sweep began
  uint32_t kept : 1 = 0;     // its newest former owner is within former_ticks: not settled yet
  uint32_t since_tick = 0;   // of its first change
  uint32_t disagreeing = 0;  // records of other backends than current, found by the current sweep
};

inline constexpr uint32_t kMaxFormers = 6;

// The former owners of a slot since it was last settled, newest first (second chance). kNoOwner
// ends the list. While the slot is not settled, former owners stay in the list, whatever their age.
// A balancer that did not see a flow's SYN may have recorded the wrong owner. Such a record is
// used, and keeps the slot pinned, as long as the flow lives. Only the list corrects it.
struct SlotFormers {
  uint32_t index = 0;
  uint16_t owners[kMaxFormers] = {kNoOwner, kNoOwner, kNoOwner, kNoOwner, kNoOwner, kNoOwner};
  uint32_t until_tick[kMaxFormers] = {};  // when each ceased to be the owner, coarse ticks
};

// The change from one generation of a service's slots to the next.
struct SlotChange {
  // By the previous local index of a backend: its new local index, kNoOwner if it is gone.
  std::span<const uint16_t> renumbered;
  uint32_t now_tick = 0;    // coarse ticks (flow_table.h)
  uint32_t idle_ticks = 0;  // T
  // How long a former owner keeps its slot from being settled, from the moment it ceased to be the
  // owner. 0: former owners are not stored.
  uint32_t former_ticks = 0;
};

// A slot that an earlier process left unsettled, with its owners as local indices of today.
struct RestoredSlot {
  uint32_t index = 0;
  uint32_t since_tick = 0;
  Slot slot;
  SlotFormers formers = {};
};

class SlotTable {
 public:
  // All slots settled on `owners` (as BuildMaglev returns them).
  explicit SlotTable(std::span<const uint16_t> owners);
  // The same, except for the slots in `restored` (ascending), which continue from their saved
  // state. Does not use `change.renumbered`.
  SlotTable(std::span<const uint16_t> owners, std::span<const RestoredSlot> restored,
            const SlotChange& change);
  // The table after `previous`, with the new `owners` from Maglev. REQUIRES the same number of
  // slots.
  SlotTable(const SlotTable& previous, std::span<const uint16_t> owners, const SlotChange& change);

  uint32_t size() const { return size_; }
  // Any thread.
  Slot Load(uint32_t index) const {
    return Slot::Unpack(words_[index].load(std::memory_order_relaxed));
  }
  const std::atomic<uint32_t>* words() const { return words_.get(); }

  // Ascending.
  std::span<const UnsettledSlot> unsettled() const { return unsettled_; }
  bool all_settled() const { return unsettled_.empty(); }
  uint32_t shifting_count() const { return shifting_count_; }
  uint32_t pinned_count() const {
    return static_cast<uint32_t>(unsettled_.size()) - shifting_count_;
  }
  // The number of shifting slots whose stable owner is `owner`.
  uint32_t shifting_count_of(uint16_t owner) const {
    return owner < shifting_by_stable_.size() ? shifting_by_stable_[owner] : 0;
  }

  // The slot's former owners, or nullptr. Any thread: they never change after construction.
  const SlotFormers* FormersOf(uint32_t index) const;

  // A sweep over all records of the flow table calls BeginCount, then CountRecord for each live
  // record of the service, then EndCount. An aborted sweep needs no EndCount: the next BeginCount
  // starts anew.
  //
  // Workers may still act on a word that they read before it changed. So only a sweep that began
  // when the slot was already pinned can settle it. REQUIRES that all workers pass a quiescent
  // state between the end of a sweep and the begin of the next (a pause longer than a burst
  // suffices). A slot stays pinned while it has former owners within `former_ticks` (SlotChange).
  void BeginCount(uint32_t now_tick, uint32_t idle_ticks, uint32_t former_ticks = 0);

  struct RecordSeen {
    bool disagrees = false;  // its backend is not the slot's current owner
    bool derivable = true;   // without it, the flow would get the same backend
    // Without it, every packet of the flow gets the same backend, also after a change (tracking
    // adaptive).
    bool needless = false;
  };
  RecordSeen CountRecord(uint32_t index, uint16_t owner);

  // Shifting slots whose T was over become pinned. Pinned slots without pins and without former
  // owners within `former_ticks` become settled. True if any slot changed.
  bool EndCount();

 private:
  void Store(uint32_t index, const Slot& slot) {
    words_[index].store(slot.Pack(), std::memory_order_relaxed);
  }
  // Stores the state that follows `slot` (NextSlot). `since_tick`: when that slot first changed.
  void Advance(uint32_t index, const Slot& slot, uint32_t since_tick, uint16_t owner,
               const SlotChange& change);
  // Stores the slot's former owners. `before`: the former owners so far, renumbered. `last`: the
  // owner until now, renumbered. `owner`: the owner from now on.
  void AdvanceFormers(uint32_t index, const SlotFormers& before, uint16_t last, uint16_t owner,
                      const SlotChange& change);
  // Counts a slot that becomes shifting (difference 1) or ceases to be (-1).
  void CountShifting(const Slot& slot, int32_t difference);
  UnsettledSlot* FindUnsettled(uint32_t index);

  SlotWords words_;
  uint32_t size_ = 0;
  uint32_t shifting_count_ = 0;
  bool counting_ = false;
  std::vector<UnsettledSlot> unsettled_;
  std::vector<uint32_t> shifting_by_stable_;  // by owner
  std::vector<SlotFormers> formers_;          // ascending; only slots with former owners
};

}  // namespace fairlead
