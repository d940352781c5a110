// The pseudo-code of the paper, with turns by weight, not optimised.
#include <algorithm>

#include "lib/base/check.h"
#include "lib/maglev/maglev_table.h"
#include "lib/maglev/permutation.h"

namespace fairlead {

std::vector<uint16_t> BuildMaglevPlain(std::span<const MaglevBackend> backends, uint32_t slot_count,
                                       uint64_t seed) {
  CHECK(IsPrime(slot_count));
  std::vector<uint16_t> owners(slot_count, kNoOwner);
  const std::vector<MaglevBackend> order = InTurnOrder(backends);
  if (order.empty()) return owners;
  const uint32_t max_weight =
      std::max_element(order.begin(), order.end(), [](const auto& a, const auto& b) {
        return a.weight < b.weight;
      })->weight;
  std::vector<uint64_t> next(order.size(), 0);
  std::vector<uint32_t> credit(order.size(), 0);  // in 1 / max_weight of a turn
  uint32_t filled = 0;
  while (true) {
    for (size_t i = 0; i < order.size(); ++i) {
      credit[i] += order[i].weight;
      if (credit[i] < max_weight) continue;
      credit[i] -= max_weight;
      const MaglevWalk walk = WalkOf(order[i].identity, slot_count, seed);
      uint64_t slot = 0;
      do {
        slot = (walk.offset + next[i]++ * walk.skip) % slot_count;
      } while (owners[slot] != kNoOwner);
      owners[slot] = order[i].index;
      if (++filled == slot_count) return owners;
    }
  }
}

}  // namespace fairlead
