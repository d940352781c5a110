// A digest that is equal on two balancers if every flow gets the same backend from its slot on
// both. The balancers of a group compare it.
#pragma once

#include <cstdint>

#include "lib/counters/left_out.h"
#include "lib/snapshot/view.h"

namespace fairlead {

// XXH3-64 of the hash seed, all frontends, and each service's hash policy, slot count and the
// backends that own slots, with their weights. It does not depend on generations, ids, next hops or
// anything else that does not affect the selection. `left_out`: backends that own no slot since the
// dataplane leaves them out.
uint64_t TableDigest(const SnapshotView& snapshot, const LeftOutBackends& left_out);

}  // namespace fairlead
