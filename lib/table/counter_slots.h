// Gives every backend and service id a stable place in the counter arrays over generations.
// Management thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

namespace fairlead {

inline constexpr uint32_t kNoIndex = 0xffffffff;

class CounterSlots {
 public:
  explicit CounterSlots(uint32_t capacity) : capacity_(capacity) {}
  // The id's slot, a new one if it has none. kNoIndex when all `capacity` are taken.
  uint32_t Assign(uint32_t id);
  // Frees the slots of ids that are not live; returns the freed slots, ascending, which the caller
  // zeroes before they are assigned again.
  std::vector<uint32_t> Retain(const std::function<bool(uint32_t id)>& is_live);
  uint32_t capacity() const { return capacity_; }
  // Ids that have one.
  size_t size() const { return slots_.size(); }

 private:
  uint32_t capacity_;
  std::unordered_map<uint32_t, uint32_t> slots_;  // by id
  std::vector<uint32_t> free_;
  uint32_t next_ = 0;
};

}  // namespace fairlead
