#include "lib/snapshot/difference.h"

#include <cstring>
#include <span>

namespace fairlead {
namespace {

template <typename Record>
bool SameBytes(std::span<const Record> a, std::span<const Record> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

// By next hop index in `before`: the index of the same next hop in `after`, else kNoNextHop. Finds
// all if both images are in the same order, as images of one control plane are.
std::vector<uint32_t> MatchNextHops(const SnapshotView& before, const SnapshotView& after) {
  const auto old = before.next_hops();
  const auto present = after.next_hops();
  std::vector<uint32_t> matches(old.size(), kNoNextHop);
  const auto order = [](const NextHopRecord& a, const NextHopRecord& b) {
    if (const int mac = std::memcmp(a.mac, b.mac, sizeof(a.mac)); mac != 0) return mac;
    if (a.vlan != b.vlan) return a.vlan < b.vlan ? -1 : 1;
    return std::memcmp(a.interface, b.interface, sizeof(a.interface));
  };
  size_t next = 0;
  for (size_t i = 0; i < old.size(); ++i) {
    while (next < present.size() && order(present[next], old[i]) < 0) ++next;
    if (next < present.size() && order(present[next], old[i]) == 0) {
      matches[i] = static_cast<uint32_t>(next++);
    }
  }
  return matches;
}

class Comparer {
 public:
  Comparer(const SnapshotView& before, const SnapshotView& after)
      : before_(before),
        after_(after),
        same_next_hops_(SameBytes(before.next_hops(), after.next_hops())) {
    if (!same_next_hops_) matches_ = MatchNextHops(before, after);
  }

  bool same_next_hops() const { return same_next_hops_; }

  bool Same(const ServiceRecord& old, const ServiceRecord& present) const {
    ServiceRecord moved = old;
    moved.name_offset = present.name_offset;
    moved.first_backend = present.first_backend;
    if (std::memcmp(&moved, &present, sizeof(moved)) != 0) return false;
    const auto old_backends = before_.backends_of(old);
    const auto backends = after_.backends_of(present);
    if (same_next_hops_) return SameBytes(old_backends, backends);
    for (size_t i = 0; i < backends.size(); ++i) {
      BackendRecord expected = old_backends[i];
      if (expected.next_hop_index != kNoNextHop) {
        expected.next_hop_index = matches_[expected.next_hop_index];
        if (expected.next_hop_index == kNoNextHop) return false;
      }
      if (std::memcmp(&expected, &backends[i], sizeof(expected)) != 0) return false;
    }
    return true;
  }

 private:
  const SnapshotView& before_;
  const SnapshotView& after_;
  bool same_next_hops_;
  std::vector<uint32_t> matches_;
};

}  // namespace

SnapshotDifference CompareSnapshots(const SnapshotView& before, const SnapshotView& after) {
  SnapshotDifference difference;
  difference.same_in_before.assign(after.services().size(), kNoSuchService);
  difference.same_frontends = SameBytes(before.frontends(), after.frontends());
  const Comparer comparer(before, after);
  difference.same_next_hops = comparer.same_next_hops();
  const auto old = before.services();
  uint32_t next = 0;
  for (size_t s = 0; s < after.services().size(); ++s) {
    const ServiceRecord& present = after.services()[s];
    const std::string_view name = after.name_of(present);
    while (next < old.size() && before.name_of(old[next]) < name) ++next;
    if (next == old.size()) break;
    if (before.name_of(old[next]) != name) {
      difference.same_frontends = false;
      continue;
    }
    if (comparer.Same(old[next], present)) difference.same_in_before[s] = next;
    if (next != s) difference.same_frontends = false;
  }
  if (old.size() != after.services().size()) difference.same_frontends = false;
  return difference;
}

}  // namespace fairlead
