// Port ranges of one address and protocol may nest, 8000-8999 in 1024-65535, but not overlap in part:
// the narrowest that holds a port has it, and of two that overlap in part neither is the narrower.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace fairlead {

// Finds the first pair that overlaps in part. Constant time per range on average.
class PortNesting {
 public:
  // `index` of an earlier range that this one overlaps in part; no value when they nest or are apart.
  // REQUIRES ranges in the order of their first port; of those with the same first port the wider
  // before the narrower. first <= last.
  std::optional<size_t> Add(uint16_t first, uint16_t last, size_t index) {
    while (!open_.empty() && open_.back().last < first) open_.pop_back();
    if (!open_.empty() && open_.back().last < last) return open_.back().index;
    open_.push_back({last, index});
    return std::nullopt;
  }
  // For the next address or protocol.
  void Reset() { open_.clear(); }

 private:
  struct Open {
    uint16_t last;
    size_t index;
  };
  std::vector<Open> open_;  // each within the one before it
};

}  // namespace fairlead
