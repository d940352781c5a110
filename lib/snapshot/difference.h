// What an image has in common with the one before it: by that, validation and the making of tables cost
// what changed.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/snapshot/view.h"

namespace fairlead {

inline constexpr uint32_t kNoSuchService = 0xffffffff;

struct SnapshotDifference {
  // By service index in the later image: the service's index in the earlier one, if its record and its
  // backends, with their next hops, are the same there; else kNoSuchService.
  std::vector<uint32_t> same_in_before;
  bool same_frontends = false;  // and in services with the same indices
  bool same_next_hops = false;
};

// REQUIRES that `before` is valid, and that all sections and ranges of `after` lie within it and its
// services are in order (as in a valid image). Indices of next hops need not be valid.
SnapshotDifference CompareSnapshots(const SnapshotView& before, const SnapshotView& after);

}  // namespace fairlead
