// The ids of the last acknowledged changes, by their generation. A dataplane that has another
// change in force was not configured by this store. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_set>
#include <utility>

namespace fairlead {

inline constexpr size_t kChangesKept = 10'000;

class KnownChanges {
 public:
  void Add(uint64_t generation, uint64_t id) {
    const auto [entry, is_new] = by_generation_.try_emplace(generation, id);
    if (!is_new)
      ids_.erase(std::exchange(entry->second, id));  // of a change that was not committed
    ids_.insert(id);
    if (by_generation_.size() <= kChangesKept) return;
    ids_.erase(by_generation_.begin()->second);
    by_generation_.erase(by_generation_.begin());
  }
  // True also if the change is too old to be remembered.
  bool Knows(uint64_t id, uint64_t generation) const {
    if (ids_.contains(id)) return true;
    return by_generation_.size() >= kChangesKept && generation < by_generation_.begin()->first;
  }

 private:
  std::map<uint64_t, uint64_t> by_generation_;
  std::unordered_set<uint64_t> ids_;
};

}  // namespace fairlead
