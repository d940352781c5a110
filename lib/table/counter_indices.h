// Gives every backend and service id a counter index, which stays the same over generations.
// Management thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

namespace fairlead {

inline constexpr uint32_t kNoIndex = 0xffffffff;

class CounterIndices {
 public:
  explicit CounterIndices(uint32_t capacity) : capacity_(capacity) {}
  // The id's index; a new one if it has none. kNoIndex if all `capacity` indexes are in use.
  uint32_t Assign(uint32_t id);
  // Frees the indexes of ids that are not live. Returns the freed indexes, ascending. The caller
  // zeroes their counters before they are assigned again.
  std::vector<uint32_t> Retain(const std::function<bool(uint32_t id)>& is_live);
  uint32_t capacity() const { return capacity_; }
  // The number of ids that have an index.
  size_t size() const { return indexes_.size(); }

 private:
  uint32_t capacity_;
  std::unordered_map<uint32_t, uint32_t> indexes_;  // by id
  std::vector<uint32_t> free_;
  uint32_t next_ = 0;
};

}  // namespace fairlead
