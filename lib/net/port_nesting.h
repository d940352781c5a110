// Port ranges of one address and protocol may nest, as 8000-8999 in 1024-65535, but must not
// overlap partly. A port belongs to the narrowest range that contains it. Of two ranges that
// overlap partly, neither is the narrower one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace fairlead {

// Finds the first pair that overlaps partly. Constant time per range on average.
class PortNesting {
 public:
  // Returns the `index` of an earlier range that this one overlaps partly; no value if there is
  // none. REQUIRES ranges in the order of their first port, the wider before the narrower if these
  // are equal, and first <= last.
  std::optional<size_t> Add(uint16_t first, uint16_t last, size_t index) {
    while (!open_.empty() && open_.back().last < first) open_.pop_back();
    if (!open_.empty() && open_.back().last < last) return open_.back().index;
    open_.push_back({last, index});
    return std::nullopt;
  }
  // Starts the next address or protocol.
  void Reset() { open_.clear(); }

 private:
  struct Open {
    uint16_t last;
    size_t index;
  };
  std::vector<Open> open_;  // each is within the one before it
};

}  // namespace fairlead
