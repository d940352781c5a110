// One number for "these balancers choose alike": equal where every flow gets the same backend from its
// slot. Balancers of a group compare it.
#pragma once

#include <cstdint>

#include "lib/counters/left_out.h"
#include "lib/snapshot/view.h"

namespace fairlead {

// Of the hash seed, all frontends, and of each service its hash policy, slots, and those backends that
// own any, with their weights (XXH3-64). Generations, ids, next hops and everything else that chooses
// nothing leave it as it is. `left_out`: the backends that own no slot for the dataplane's sake.
uint64_t TableDigest(const SnapshotView& snapshot, const LeftOutBackends& left_out);

}  // namespace fairlead
