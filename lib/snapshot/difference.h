// Compares an image with the one before it, so that validation and building tables take time only
// for what changed.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/snapshot/view.h"

namespace fairlead {

inline constexpr uint32_t kNoSuchService = 0xffffffff;

struct SnapshotDifference {
  // By service index in the later image: the service's index in the earlier one, if its record and
  // its backends, with their next hops, are the same there; else kNoSuchService.
  std::vector<uint32_t> same_in_before;
  bool same_frontends = false;  // the frontends are equal, and so are all service indices
  bool same_next_hops = false;
};

// REQUIRES that `before` is valid, that all sections and ranges of `after` are inside its image,
// and that its services are in order (as in a valid image). Its next hop indices need not be valid.
SnapshotDifference CompareSnapshots(const SnapshotView& before, const SnapshotView& after);

}  // namespace fairlead
