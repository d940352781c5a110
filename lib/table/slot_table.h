// A service's slots: which backend owns each hash value. 4 bytes a slot.
//
//   bits 31..30  state    settled (0) | shifting (1) | pinned (2)
//   bits 29..15  stable   shifting: the owner before the slot's first change; else as current
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
// A change of owner comes with a new generation, and so with a new SlotTable (NextSlot below has the
// rules). The way back, shifting -> pinned -> settled, is gone in place, at the end of a sweep of
// the flow table:
//
//   t=0     change A -> B     shifting, stable A, current B
//   t=100   change B -> C     shifting, stable A, current C      (still until t=T)
//   t=T     end of a sweep    pinned, current C: a flow of A that lives was seen since, and recorded
//   later   sweep counts no record of this slot but of C: settled
//
// Words are written by the management thread only; workers read single words (relaxed), so a reader
// sees an old or a new slot, never a mix. All else is the management thread's alone.
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
  // What most packets ask, of the word as it is.
  static bool IsSettled(uint32_t word) { return word < uint32_t{1} << 30; }
  friend bool operator==(const Slot&, const Slot&) = default;
};

// `slot` after `owner` became its owner (or stayed it). The owners in `slot` are in the same numbers
// as `owner`; kNoOwner for a backend that is gone. `window_over`: T has passed since its first
// change. Sets `*starts` when the slot's window starts now.
//
//   settled    same owner        settled
//   settled    another owner     shifting, stable = the old owner; settled at once when nobody owned
//                                it or the old owner is deleted: none of its flows can live
//   shifting   within T          shifting, stable as it is; pinned when the stable owner is deleted:
//                                what lives is recorded
//   shifting   T is over         as pinned
//   pinned     same owner        pinned
//   pinned     another owner     shifting, stable = the old owner; pinned when that is deleted
Slot NextSlot(Slot slot, bool window_over, uint16_t owner, bool* starts);

// A slot that is not settled.
struct UnsettledSlot {
  uint32_t index : 24 = 0;
  uint32_t due : 1 = 0;      // T was over when the sweep under way began
  uint32_t kept : 1 = 0;     // some former owner is younger than former_ticks
  uint32_t since_tick = 0;   // of its first change
  uint32_t disagreeing = 0;  // records that the sweep under way has found, of others than current
};

inline constexpr uint32_t kMaxFormers = 6;

// Who owned a slot since it was settled last, newest first (second chance). kNoOwner ends the list.
// No former owner is left out for its age while the slot is not settled: a balancer that did not see
// a flow's SYN may have recorded the wrong owner, and such a record keeps the slot pinned, and is
// followed, for as long as the flow lives. Only the list sets it right.
struct SlotFormers {
  uint32_t index = 0;
  uint16_t owners[kMaxFormers] = {kNoOwner, kNoOwner, kNoOwner, kNoOwner, kNoOwner, kNoOwner};
  uint32_t until_tick[kMaxFormers] = {};
};

// What lies between two generations of a service's slots.
struct SlotChange {
  // By the previous local index of a backend: its local index now, kNoOwner when it is gone.
  std::span<const uint16_t> renumbered;
  uint32_t now_tick = 0;    // coarse ticks (flow_table.h)
  uint32_t idle_ticks = 0;  // T
  // How long a former owner, after it ceased to be, keeps its slot from being settled; 0: former
  // owners are not remembered at all.
  uint32_t former_ticks = 0;
};

// A slot that an earlier process left unsettled, its owners in today's numbers.
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
  // The same but for `restored` (ascending), which go on from where they were. `change.renumbered`
  // is not looked at.
  SlotTable(std::span<const uint16_t> owners, std::span<const RestoredSlot> restored,
            const SlotChange& change);
  // What becomes of `previous` now that Maglev gives `owners`. REQUIRES as many of them.
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
  // Shifting slots whose stable owner this is.
  uint32_t shifting_count_of(uint16_t owner) const {
    return owner < shifting_by_stable_.size() ? shifting_by_stable_[owner] : 0;
  }

  // The slot's former owners, or nullptr. Any thread: never changed once the table is made.
  const SlotFormers* FormersOf(uint32_t index) const;

  // A sweep over all records of the flow table: BeginCount, CountRecord for each live record of the
  // service, EndCount. A sweep that is given up needs no end: the next BeginCount forgets it.
  //
  // Workers may still act on a word that they read before it changed. A slot is therefore settled
  // only by a sweep that began when it was pinned already; REQUIRES that between the end of a sweep
  // and the beginning of the next all workers have passed a quiescent state (a pause of longer than
  // a burst takes does it).
  // A slot stays pinned while it has former owners that count (`former_ticks` as in SlotChange).
  void BeginCount(uint32_t now_tick, uint32_t idle_ticks, uint32_t former_ticks = 0);

  struct RecordSeen {
    bool disagrees = false;  // with the slot's current owner
    bool derivable = true;   // were it lost, its flow would find the same backend
    // The slot says the same to every packet, and would to those of this flow after a change
    // (tracking adaptive).
    bool needless = false;
  };
  RecordSeen CountRecord(uint32_t index, uint16_t owner);

  // Shifting slots whose T was over become pinned, pinned ones without a disagreeing record settled.
  // True when any slot changed.
  bool EndCount();

 private:
  void Store(uint32_t index, const Slot& slot) {
    words_[index].store(slot.Pack(), std::memory_order_relaxed);
  }
  // Gives `slot`, as it was, to `owner`.
  void Advance(uint32_t index, const Slot& slot, uint32_t since_tick, uint16_t owner,
               const SlotChange& change);
  // `before`: the former owners so far, in today's numbers; `last`: the owner until now.
  void AdvanceFormers(uint32_t index, const SlotFormers& before, uint16_t last, uint16_t owner,
                      const SlotChange& change);
  // A slot comes to be, or ceases to be, a shifting one.
  void CountShifting(const Slot& slot, int32_t difference);
  UnsettledSlot* FindUnsettled(uint32_t index);

  SlotWords words_;
  uint32_t size_ = 0;
  uint32_t shifting_count_ = 0;
  bool counting_ = false;
  std::vector<UnsettledSlot> unsettled_;
  std::vector<uint32_t> shifting_by_stable_;  // by owner
  std::vector<SlotFormers> formers_;          // ascending; of slots that have any
};

}  // namespace fairlead
