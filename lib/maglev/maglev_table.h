// Weighted Maglev: fills a table of M slots (M prime) so that every backend owns a share
// proportional to its weight, and a change of one backend moves few other slots. Eisenbud et al.,
// "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
//
// Each backend has its own permutation of the slots, from its identity and the seed. The backends
// take turns. In its turn, a backend takes the first free slot of its permutation. Weights: in each
// round a backend gains weight / max_weight of a turn, and takes a turn when it has a whole one.
// Within a round, turns are in the order of the identities.
//
// Deterministic: the result depends only on identities, weights, seed and M, not on the order of
// the input. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fairlead {

inline constexpr uint32_t kDefaultSlotCount = 65537;
inline constexpr uint32_t kMaxWeight = 1000;
inline constexpr uint16_t kNoOwner = 0x7fff;  // slot value of an empty table (15 bits)
inline constexpr uint32_t kMaxBackendsPerService = kNoOwner;  // indices 0 .. 0x7ffe

struct MaglevBackend {
  // Hash of the backend's endpoint: the same on every balancer, and unique in the input.
  uint64_t identity = 0;
  uint32_t weight = 1;  // 0..1000; 0 = owns no slot
  uint16_t index = 0;   // the value of its slots
};

bool IsPrime(uint32_t n);

// The owner of each of `slot_count` slots. All are kNoOwner if no backend has weight. With more
// backends than slots, the first by identity get one each.
// REQUIRES slot_count prime, weights <= kMaxWeight, identities distinct.
std::vector<uint16_t> BuildMaglev(std::span<const MaglevBackend> backends, uint32_t slot_count,
                                  uint64_t seed);

// The same by the paper's plain algorithm. The differential test compares BuildMaglev with it.
std::vector<uint16_t> BuildMaglevPlain(std::span<const MaglevBackend> backends, uint32_t slot_count,
                                       uint64_t seed);

}  // namespace fairlead
