#include "lib/maglev/permutation.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "lib/base/check.h"

namespace fairlead {

MaglevWalk WalkOf(uint64_t identity, uint32_t slot_count, uint64_t seed) {
  static_assert(std::endian::native == std::endian::little, "tables are equal on all balancers");
  const XXH128_hash_t hash = XXH3_128bits_withSeed(&identity, sizeof(identity), seed);
  return {static_cast<uint32_t>(hash.low64 % slot_count),
          static_cast<uint32_t>(hash.high64 % (slot_count - 1)) + 1};
}

std::vector<MaglevBackend> InTurnOrder(std::span<const MaglevBackend> backends) {
  std::vector<MaglevBackend> order;
  order.reserve(backends.size());
  for (const MaglevBackend& backend : backends) {
    CHECK(backend.weight <= kMaxWeight);
    if (backend.weight > 0) order.push_back(backend);
  }
  std::sort(order.begin(), order.end(), [](const MaglevBackend& a, const MaglevBackend& b) {
    return std::pair(a.identity, a.index) < std::pair(b.identity, b.index);
  });
  return order;
}

}  // namespace fairlead
