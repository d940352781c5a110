// Shared by the two implementations of Maglev: a backend's walk through the slots. Internal.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/maglev/maglev_table.h"

namespace fairlead {

// The j-th slot of the walk is (offset + j * skip) mod slot_count. slot_count is prime, so the walk
// visits every slot once.
struct MaglevWalk {
  uint32_t offset = 0;  // 0 .. slot_count - 1
  uint32_t skip = 1;    // 1 .. slot_count - 1
};

MaglevWalk WalkOf(uint64_t identity, uint32_t slot_count, uint64_t seed);

// The backends with a weight above 0, ordered by identity, then by index if identities collide.
std::vector<MaglevBackend> InTurnOrder(std::span<const MaglevBackend> backends);

}  // namespace fairlead
