#include "lib/table/counter_slots.h"

#include <algorithm>

namespace fairlead {

uint32_t CounterSlots::Assign(uint32_t id) {
  if (const auto found = slots_.find(id); found != slots_.end()) return found->second;
  uint32_t slot = kNoIndex;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else if (next_ < capacity_) {
    slot = next_++;
  } else {
    return kNoIndex;
  }
  slots_.emplace(id, slot);
  return slot;
}

std::vector<uint32_t> CounterSlots::Retain(const std::function<bool(uint32_t)>& is_live) {
  std::vector<uint32_t> freed;
  for (auto it = slots_.begin(); it != slots_.end();) {
    if (is_live(it->first)) {
      ++it;
      continue;
    }
    freed.push_back(it->second);
    it = slots_.erase(it);
  }
  std::sort(freed.begin(), freed.end());
  free_.insert(free_.end(), freed.rbegin(), freed.rend());  // the lowest is assigned first
  return freed;
}

}  // namespace fairlead
