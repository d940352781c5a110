#include "lib/table/port_segments.h"

#include <algorithm>
#include <map>

namespace fairlead {
namespace {

// Where a value begins. It is valid up to the next entry.
using Starts = std::map<uint32_t, uint32_t>;

// Makes an entry at `port` with the value that `port` already has.
Starts::iterator SplitAt(Starts& starts, uint32_t port) {
  const auto behind = starts.upper_bound(port);
  return starts.insert_or_assign(behind, port, std::prev(behind)->second);
}

}  // namespace

uint32_t PortSegments::AddGroup(std::vector<PortRangeValue> ranges) {
  // The widest first: narrower ranges then overwrite it.
  std::ranges::stable_sort(ranges, [](const PortRangeValue& a, const PortRangeValue& b) {
    return a.last - a.first > b.last - b.first;
  });
  Starts starts = {{0, kNone}};
  for (const PortRangeValue& range : ranges) {
    const auto end = SplitAt(starts, uint32_t{range.last} + 1);
    const auto begin = SplitAt(starts, range.first);
    begin->second = range.value;
    starts.erase(std::next(begin), end);
  }
  const auto first = static_cast<uint32_t>(segments_.size());
  for (auto it = starts.begin(); it != starts.end(); ++it) {
    const auto behind = std::next(it);
    if (it->second == kNone || behind == starts.end()) continue;
    segments_.push_back(
        {static_cast<uint16_t>(it->first), static_cast<uint16_t>(behind->first - 1), it->second});
  }
  groups_.push_back({first, static_cast<uint32_t>(segments_.size())});
  return static_cast<uint32_t>(groups_.size() - 1);
}

uint32_t PortSegments::Find(uint32_t group, uint16_t port) const {
  const auto begin = segments_.begin() + groups_[group].begin;
  const auto end = segments_.begin() + groups_[group].end;
  const auto behind =
      std::upper_bound(begin, end, port,
                       [](uint16_t p, const PortRangeValue& segment) { return p < segment.first; });
  if (behind == begin) return kNone;
  const PortRangeValue& segment = *std::prev(behind);
  return port <= segment.last ? segment.value : kNone;
}

}  // namespace fairlead
