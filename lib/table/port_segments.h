// Finds the narrowest port range that contains a port. Nested ranges are cut into segments that do
// not overlap, so that a lookup is one binary search.
//
//   1024-65535 -> a, 8000-8999 -> b   becomes   1024-7999 -> a, 8000-8999 -> b, 9000-65535 -> a
//
// Built once per snapshot, immutable, read by all workers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fairlead {

struct PortRangeValue {
  uint16_t first;
  uint16_t last;
  uint32_t value;
};

class PortSegments {
 public:
  static constexpr uint32_t kNone = 0xffffffff;

  // Adds a group: the ranges of one address and protocol, in any order. Returns its number, for
  // Find. If ranges overlap partly, the narrower has priority; of equally wide ones, the later.
  uint32_t AddGroup(std::vector<PortRangeValue> ranges);

  // The value of the narrowest range of `group` that contains `port` (host order); kNone if none
  // does.
  uint32_t Find(uint32_t group, uint16_t port) const;

  bool empty() const { return groups_.empty(); }

 private:
  struct Group {
    uint32_t begin;
    uint32_t end;
  };
  std::vector<Group> groups_;
  std::vector<PortRangeValue> segments_;  // within a group: ascending, not overlapping
};

}  // namespace fairlead
