#include "lib/flow/fragment_store.h"

#include <algorithm>
#include <bit>

#include "lib/base/check.h"

namespace fairlead {

FragmentStore::FragmentStore(FragmentMap* map, const FragmentStoreSettings& settings)
    : map_(map), settings_(settings) {
  CHECK(settings.max_datagrams > 0 && settings.max_waiting > 0 && settings.max_per_datagram > 0);
  CHECK(settings.wait_ticks > 0 && settings.wait_ticks < kTickMask / 2);
  const uint64_t buckets =
      std::bit_ceil((uint64_t{settings.max_datagrams} + kCellsPerBucket - 1) / kCellsPerBucket);
  bucket_mask_ = buckets - 1;
  cells_.resize(buckets * kCellsPerBucket);
  nodes_.resize(uint64_t{settings.max_waiting} + settings.max_per_round);
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    nodes_[i].next = free_node_;
    free_node_ = i;
  }
}

uint64_t FragmentStore::RecordFirst(const FlowHash& datagram, uint64_t decision,
                                    uint32_t now_tick) {
  const uint64_t valid = map_->Remember(datagram, decision, now_tick);
  if (datagram_count_ != 0) {
    const uint32_t cell = FindCell(datagram);
    if (cell != kNone) Release(cell, valid, DropReason::kNone);
  }
  return valid;
}

FragmentStore::Outcome FragmentStore::AddLater(const FlowHash& datagram, uint64_t handle,
                                               uint32_t now_tick, uint64_t* decision) {
  uint32_t cell = datagram_count_ != 0 ? FindCell(datagram) : kNone;
  *decision = map_->Find(datagram, now_tick);
  if (*decision != 0) {
    // The first fragment arrived at another worker after these began to wait here.
    if (cell != kNone) Release(cell, *decision, DropReason::kNone);
    return Outcome::kForward;
  }
  if (cell != kNone && cells_[cell].count == settings_.max_per_datagram) return Outcome::kRefused;
  if (free_node_ == kNone) return Outcome::kRefused;
  if (waiting_ == settings_.max_waiting) {
    if (cell == oldest_) cell = kNone;  // evicts this datagram's waiting fragments
    Release(oldest_, 0, DropReason::k_fragment_evicted);
  }
  if (cell == kNone) cell = TakeCell(datagram, now_tick);
  const uint32_t index = free_node_;
  Node& node = nodes_[index];
  free_node_ = node.next;
  node = {{handle, 0, DropReason::kNone}, kNone};
  Cell& list = cells_[cell];
  if (list.count == 0) {
    list.head = index;
  } else {
    nodes_[list.tail].next = index;
  }
  list.tail = index;
  ++list.count;
  ++waiting_;
  return Outcome::kHeld;
}

void FragmentStore::Advance(uint32_t now_tick) {
  for (uint32_t i = 0; i < kExpirePerCall && oldest_ != kNone; ++i) {
    if (ElapsedTicks(now_tick, cells_[oldest_].since_tick) < settings_.wait_ticks) break;
    Release(oldest_, 0, DropReason::k_fragment_timeout);
  }
  for (uint32_t i = 0; i < std::min(kPollPerCall, datagram_count_); ++i) {
    if (poll_ == kNone) poll_ = oldest_;
    const uint32_t cell = poll_;
    poll_ = cells_[cell].newer;
    const uint64_t decision = map_->Find(cells_[cell].datagram, now_tick);
    if (decision != 0) Release(cell, decision, DropReason::kNone);
  }
}

bool FragmentStore::Next(Released* released) {
  if (released_head_ == kNone) return false;
  const uint32_t index = released_head_;
  Node& node = nodes_[index];
  *released = node.fragment;
  released_head_ = node.next;
  if (released_head_ == kNone) released_tail_ = kNone;
  node.next = free_node_;
  free_node_ = index;
  return true;
}

void FragmentStore::ReleaseAll() {
  while (oldest_ != kNone) Release(oldest_, 0, DropReason::k_fragment_timeout);
}

uint32_t FragmentStore::FindCell(const FlowHash& datagram) const {
  const auto first = static_cast<uint32_t>((datagram.high & bucket_mask_) * kCellsPerBucket);
  for (uint32_t i = first; i < first + kCellsPerBucket; ++i) {
    if (cells_[i].count != 0 && cells_[i].datagram == datagram) return i;
  }
  return kNone;
}

// Takes a cell of the datagram's bucket and appends it to the age list. If all cells are used, it
// evicts the oldest one.
uint32_t FragmentStore::TakeCell(const FlowHash& datagram, uint32_t now_tick) {
  const auto first = static_cast<uint32_t>((datagram.high & bucket_mask_) * kCellsPerBucket);
  uint32_t chosen = first;
  for (uint32_t i = first; i < first + kCellsPerBucket; ++i) {
    if (cells_[i].count == 0) {
      chosen = i;
      break;
    }
    if (cells_[i].order < cells_[chosen].order) chosen = i;
  }
  if (cells_[chosen].count != 0) Release(chosen, 0, DropReason::k_fragment_evicted);
  Cell& cell = cells_[chosen];
  cell = Cell{};
  cell.datagram = datagram;
  cell.order = next_order_++;
  cell.since_tick = now_tick;
  cell.older = newest_;
  if (newest_ != kNone) {
    cells_[newest_].newer = chosen;
  } else {
    oldest_ = chosen;
  }
  newest_ = chosen;
  ++datagram_count_;
  return chosen;
}

void FragmentStore::Unlink(uint32_t cell_index) {
  const Cell& cell = cells_[cell_index];
  if (poll_ == cell_index) poll_ = cell.newer;
  if (cell.older != kNone) {
    cells_[cell.older].newer = cell.newer;
  } else {
    oldest_ = cell.newer;
  }
  if (cell.newer != kNone) {
    cells_[cell.newer].older = cell.older;
  } else {
    newest_ = cell.older;
  }
}

void FragmentStore::Release(uint32_t cell_index, uint64_t decision, DropReason reason) {
  Unlink(cell_index);
  Cell& cell = cells_[cell_index];
  for (uint32_t i = cell.head; i != kNone; i = nodes_[i].next) {
    nodes_[i].fragment.decision = decision;
    nodes_[i].fragment.reason = reason;
  }
  if (released_tail_ == kNone) {
    released_head_ = cell.head;
  } else {
    nodes_[released_tail_].next = cell.head;
  }
  released_tail_ = cell.tail;
  waiting_ -= cell.count;
  --datagram_count_;
  cell.count = 0;
}

}  // namespace fairlead
