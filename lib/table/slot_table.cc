#include "lib/table/slot_table.h"

#include <algorithm>

#include "lib/base/check.h"
#include "lib/flow/flow_table.h"

namespace fairlead {
namespace {

uint16_t Renumber(uint16_t owner, const SlotChange& change) {
  return owner == kNoOwner ? kNoOwner : change.renumbered[owner];
}

}  // namespace

Slot NextSlot(Slot slot, bool window_over, uint16_t owner, bool* starts) {
  *starts = false;
  if (slot.state == SlotState::kShifting && !window_over) {
    if (slot.stable == kNoOwner) return {owner, owner, SlotState::kPinned};
    return {owner, slot.stable, SlotState::kShifting};
  }
  if (slot.state == SlotState::kShifting) slot.state = SlotState::kPinned;
  if (owner == slot.current || slot.current == kNoOwner) return {owner, owner, slot.state};
  *starts = true;
  return {owner, slot.current, SlotState::kShifting};
}

SlotTable::SlotTable(std::span<const uint16_t> owners)
    : words_(AllocateSlotWords(owners.size())), size_(static_cast<uint32_t>(owners.size())) {
  for (uint32_t i = 0; i < size_; ++i) Store(i, {owners[i], owners[i], SlotState::kSettled});
}

SlotTable::SlotTable(const SlotTable& previous, std::span<const uint16_t> owners,
                     const SlotChange& change)
    : words_(AllocateSlotWords(owners.size())), size_(static_cast<uint32_t>(owners.size())) {
  CHECK(owners.size() == previous.size());
  auto old = previous.unsettled_.begin();
  auto formers = previous.formers_.begin();
  for (uint32_t i = 0; i < size_; ++i) {
    Slot slot = previous.Load(i);
    slot.current = Renumber(slot.current, change);
    slot.stable = Renumber(slot.stable, change);
    // Nearly all slots: nothing changes.
    if (slot.state == SlotState::kSettled && slot.current == owners[i] &&
        change.former_ticks == 0) {
      Store(i, {owners[i], owners[i], SlotState::kSettled});
      continue;
    }
    uint32_t since_tick = change.now_tick;
    if (slot.state != SlotState::kSettled) since_tick = (old++)->since_tick;
    Advance(i, slot, since_tick, owners[i], change);
    if (change.former_ticks == 0) continue;
    SlotFormers before;
    if (formers != previous.formers_.end() && formers->index == i) {
      if (slot.state != SlotState::kSettled) before = *formers;
      ++formers;
      for (uint16_t& owner : before.owners) owner = Renumber(owner, change);
    }
    AdvanceFormers(i, before, slot.current, owners[i], change);
  }
  unsettled_.shrink_to_fit();
  formers_.shrink_to_fit();
}

SlotTable::SlotTable(std::span<const uint16_t> owners, std::span<const RestoredSlot> restored,
                     const SlotChange& change)
    : SlotTable(owners) {
  for (const RestoredSlot& slot : restored) {
    CHECK(slot.index < size_);
    Advance(slot.index, slot.slot, slot.since_tick, owners[slot.index], change);
    if (change.former_ticks == 0) continue;
    AdvanceFormers(slot.index, slot.formers, slot.slot.current, owners[slot.index], change);
  }
}

void SlotTable::Advance(uint32_t index, const Slot& slot, uint32_t since_tick, uint16_t owner,
                        const SlotChange& change) {
  bool starts = false;
  const bool window_over = AgeTicks(since_tick, change.now_tick) > change.idle_ticks;
  const Slot next = NextSlot(slot, window_over, owner, &starts);
  Store(index, next);
  if (next.state == SlotState::kSettled) return;
  UnsettledSlot& unsettled = unsettled_.emplace_back();
  unsettled.index = index & 0xffffff;
  unsettled.since_tick = starts ? change.now_tick : since_tick;
  if (next.state == SlotState::kShifting) CountShifting(next, 1);
}

void SlotTable::AdvanceFormers(uint32_t index, const SlotFormers& before, uint16_t last,
                               uint16_t owner, const SlotChange& change) {
  SlotFormers formers;
  formers.index = index;
  uint32_t count = 0;
  if (last != owner && last != kNoOwner) {
    formers.owners[count] = last;
    formers.until_tick[count++] = change.now_tick;
  }
  for (uint32_t n = 0; n < kMaxFormers && count < kMaxFormers; ++n) {
    const uint16_t former = before.owners[n];
    // Skip a deleted backend, the owner itself, and `last`, which is already in the list.
    if (former == kNoOwner || former == owner || former == formers.owners[0]) continue;
    formers.owners[count] = former;
    formers.until_tick[count++] = before.until_tick[n];
  }
  if (count != 0) formers_.push_back(formers);
}

const SlotFormers* SlotTable::FormersOf(uint32_t index) const {
  const auto found = std::lower_bound(
      formers_.begin(), formers_.end(), index,
      [](const SlotFormers& slot, uint32_t wanted) { return slot.index < wanted; });
  return found == formers_.end() || found->index != index ? nullptr : &*found;
}

void SlotTable::CountShifting(const Slot& slot, int32_t difference) {
  const auto step = static_cast<uint32_t>(difference);
  shifting_count_ += step;
  if (slot.stable >= shifting_by_stable_.size()) shifting_by_stable_.resize(slot.stable + 1U);
  shifting_by_stable_[slot.stable] += step;
}

UnsettledSlot* SlotTable::FindUnsettled(uint32_t index) {
  const auto found = std::lower_bound(
      unsettled_.begin(), unsettled_.end(), index,
      [](const UnsettledSlot& slot, uint32_t wanted) { return slot.index < wanted; });
  DCHECK(found != unsettled_.end() && found->index == index);
  return &*found;
}

void SlotTable::BeginCount(uint32_t now_tick, uint32_t idle_ticks, uint32_t former_ticks) {
  counting_ = true;
  for (UnsettledSlot& slot : unsettled_) {
    slot.disagreeing = 0;
    slot.due = AgeTicks(slot.since_tick, now_tick) > idle_ticks ? 1 : 0;
    const SlotFormers* formers = former_ticks == 0 ? nullptr : FormersOf(slot.index);
    slot.kept =
        formers != nullptr && AgeTicks(formers->until_tick[0], now_tick) <= former_ticks ? 1 : 0;
  }
}

SlotTable::RecordSeen SlotTable::CountRecord(uint32_t index, uint16_t owner) {
  const Slot slot = Load(index);
  if (slot.state == SlotState::kSettled)
    return {slot.current != owner, true, slot.current == owner};
  UnsettledSlot* const unsettled = FindUnsettled(index);
  RecordSeen seen;
  seen.disagrees = slot.current != owner;
  // A due slot will be pinned when the sweep ends. From then on, its stable owner cannot be
  // derived.
  seen.derivable =
      slot.state == SlotState::kShifting && unsettled->due == 0 && slot.stable == owner;
  seen.needless = slot.state == SlotState::kPinned && !seen.disagrees;
  if (seen.disagrees) ++unsettled->disagreeing;
  return seen;
}

bool SlotTable::EndCount() {
  if (!counting_) return false;
  counting_ = false;
  bool changed = false;
  const auto settled = [&](const UnsettledSlot& unsettled) {
    const Slot slot = Load(unsettled.index);
    if (slot.state == SlotState::kShifting) {
      if (unsettled.due == 0) return false;
      Store(unsettled.index, {slot.current, slot.current, SlotState::kPinned});
      CountShifting(slot, -1);
      changed = true;
      return false;
    }
    if (unsettled.disagreeing != 0 || unsettled.kept != 0) return false;
    Store(unsettled.index, {slot.current, slot.current, SlotState::kSettled});
    changed = true;
    return true;
  };
  std::erase_if(unsettled_, settled);
  if (unsettled_.empty()) unsettled_.shrink_to_fit();
  if (shifting_count_ == 0) shifting_by_stable_ = {};
  return changed;
}

}  // namespace fairlead
