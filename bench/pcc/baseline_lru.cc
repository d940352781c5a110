#include "bench/pcc/baseline_lru.h"

#include <bit>

#include "lib/base/check.h"
#include "lib/flow/flow_table.h"

namespace fairlead::pcc {

LruTable::LruTable(uint32_t capacity, uint32_t idle_ticks)
    : chains_(std::bit_ceil(uint64_t{capacity}), kNone),
      chain_mask_(chains_.size() - 1),
      capacity_(capacity),
      idle_ticks_(idle_ticks) {
  CHECK(capacity > 0);
  entries_.reserve(capacity);
}

void LruTable::Clear() {
  chains_.assign(chains_.size(), kNone);
  entries_.clear();
  unused_ = kNone;
  for (List& list : lists_) list = {};
}

void LruTable::Unlink(uint32_t index) {
  const Entry& entry = entries_[index];
  List& list = lists_[entry.list];
  (entry.older == kNone ? list.oldest : entries_[entry.older].newer) = entry.newer;
  (entry.newer == kNone ? list.newest : entries_[entry.newer].older) = entry.older;
  --list.count;
}

void LruTable::Append(uint32_t index, ListName name) {
  Entry& entry = entries_[index];
  List& list = lists_[name];
  entry.list = name;
  entry.older = list.newest;
  entry.newer = kNone;
  (list.newest == kNone ? list.oldest : entries_[list.newest].newer) = index;
  list.newest = index;
  ++list.count;
}

void LruTable::Erase(uint32_t index) {
  uint32_t* link = &ChainOf(entries_[index].tag);
  while (*link != index) link = &entries_[*link].next;
  *link = entries_[index].next;
  Unlink(index);
  entries_[index].next = unused_;
  unused_ = index;
}

uint32_t* LruTable::Find(uint64_t tag, uint32_t now_tick, bool closing) {
  for (uint32_t i = ChainOf(tag); i != kNone; i = entries_[i].next) {
    if (entries_[i].tag != tag) continue;
    Unlink(i);
    entries_[i].last_seen_tick = now_tick;
    Append(i, closing ? kClosing : kLive);
    return &entries_[i].backend_id;
  }
  return nullptr;
}

bool LruTable::Insert(uint64_t tag, uint32_t backend_id, uint32_t now_tick) {
  bool evicts = false;
  if (unused_ == kNone && entries_.size() == capacity_) {
    for (const ListName name : {kStale, kClosing, kLive}) {
      if (lists_[name].oldest == kNone) continue;
      Erase(lists_[name].oldest);
      evicts = name != kStale;
      break;
    }
  }
  uint32_t index = unused_;
  if (index == kNone) {
    index = static_cast<uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    unused_ = entries_[index].next;
  }
  uint32_t& chain = ChainOf(tag);
  entries_[index] = {tag, backend_id, now_tick, kNone, kNone, chain, kLive};
  chain = index;
  Append(index, kLive);
  return evicts;
}

void LruTable::Expire(uint32_t now_tick) {
  const auto age_of_oldest = [&](ListName name) {
    return now_tick - entries_[lists_[name].oldest].last_seen_tick;
  };
  while (lists_[kClosing].oldest != kNone && age_of_oldest(kClosing) > kClosingTicks) {
    Erase(lists_[kClosing].oldest);
  }
  while (lists_[kLive].oldest != kNone && age_of_oldest(kLive) > idle_ticks_) {
    const uint32_t index = lists_[kLive].oldest;
    Unlink(index);
    Append(index, kStale);
  }
}

}  // namespace fairlead::pcc
