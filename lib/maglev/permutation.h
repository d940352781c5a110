// What the two implementations of Maglev share: a backend's walk through the slots. Internal.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/maglev/maglev_table.h"

namespace fairlead {

// The j-th slot of the walk is (offset + j * skip) mod slot_count; slot_count is prime, so that it
// meets every slot once.
struct MaglevWalk {
  uint32_t offset = 0;  // 0 .. slot_count - 1
  uint32_t skip = 1;    // 1 .. slot_count - 1
};

MaglevWalk WalkOf(uint64_t identity, uint32_t slot_count, uint64_t seed);

// The backends with weight, by identity (and index, should identities collide against the odds).
std::vector<MaglevBackend> InTurnOrder(std::span<const MaglevBackend> backends);

}  // namespace fairlead
