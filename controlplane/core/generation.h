// Numbers the snapshots: strictly increasing per store. One thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fairlead {

class GenerationCounter {
 public:
  uint64_t current() const { return current_; }
  uint64_t Take() { return ++current_; }
  // The next generation will be above `generation`.
  void Raise(uint64_t generation) { current_ = std::max(current_, generation); }

 private:
  uint64_t current_ = 0;
};

}  // namespace fairlead
