// The ids of the last changes that somebody was told of, by the generation that held them: a dataplane
// that forwards by another one was not configured by this store. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_set>

namespace fairlead {

inline constexpr size_t kChangesKept = 10'000;

class KnownChanges {
 public:
  void Add(uint64_t generation, uint64_t id) {
    by_generation_[generation] = id;
    ids_.insert(id);
    if (by_generation_.size() <= kChangesKept) return;
    ids_.erase(by_generation_.begin()->second);
    by_generation_.erase(by_generation_.begin());
  }
  // True also where the change is too old to be remembered.
  bool Knows(uint64_t id, uint64_t generation) const {
    if (ids_.contains(id)) return true;
    return by_generation_.size() >= kChangesKept && generation < by_generation_.begin()->first;
  }

 private:
  std::map<uint64_t, uint64_t> by_generation_;
  std::unordered_set<uint64_t> ids_;
};

}  // namespace fairlead
