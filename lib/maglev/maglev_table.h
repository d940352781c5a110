// Weighted Maglev: fills a table of M slots (M prime) so that every backend owns a share
// proportional to its weight, and a change of one backend moves little else. Eisenbud et al.,
// "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
//
// Each backend has its own permutation of the slots, from its identity and the seed. In turns, each
// takes the first slot of its permutation that is still free. Weights: in each round a backend
// gains weight / max_weight of a turn and takes a turn whenever it has a whole one. Within a round
// turns go by identity.
//
// Deterministic: the result depends on (identities, weights, seed, M) only, not on the order of the
// input. Pure; any thread.
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
  uint64_t identity =
      0;  // hash of the backend's endpoint: the same on every balancer; unique in the input
  uint32_t weight = 1;  // 0..1000; 0 = owns no slot
  uint16_t index = 0;   // what the table shall hold
};

bool IsPrime(uint32_t n);

// The owner of each of `slot_count` slots. All kNoOwner when no backend has weight. With more
// backends than slots, those first by identity get one each.
// REQUIRES slot_count prime, weights <= kMaxWeight, identities distinct.
std::vector<uint16_t> BuildMaglev(std::span<const MaglevBackend> backends, uint32_t slot_count,
                                  uint64_t seed);

// The same by the paper's plain algorithm; the differential test holds BuildMaglev against it.
std::vector<uint16_t> BuildMaglevPlain(std::span<const MaglevBackend> backends, uint32_t slot_count,
                                       uint64_t seed);

}  // namespace fairlead
