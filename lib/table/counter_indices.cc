#include "lib/table/counter_indices.h"

#include <algorithm>

namespace fairlead {

uint32_t CounterIndices::Assign(uint32_t id) {
  if (const auto found = indexes_.find(id); found != indexes_.end()) return found->second;
  uint32_t index = kNoIndex;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else if (next_ < capacity_) {
    index = next_++;
  } else {
    return kNoIndex;
  }
  indexes_.emplace(id, index);
  return index;
}

std::vector<uint32_t> CounterIndices::Retain(const std::function<bool(uint32_t)>& is_live) {
  std::vector<uint32_t> freed;
  for (auto it = indexes_.begin(); it != indexes_.end();) {
    if (is_live(it->first)) {
      ++it;
      continue;
    }
    freed.push_back(it->second);
    it = indexes_.erase(it);
  }
  std::sort(freed.begin(), freed.end());
  free_.insert(free_.end(), freed.rbegin(), freed.rend());  // the lowest is assigned first
  return freed;
}

}  // namespace fairlead
