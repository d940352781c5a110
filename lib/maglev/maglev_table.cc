#include "lib/maglev/maglev_table.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "lib/base/check.h"
#include "lib/maglev/permutation.h"

namespace fairlead {
namespace {

// Which slots are taken, one bit each: 8 KB at 65537 slots, so that the probes, a dozen for each
// slot that is filled, stay in the L1 cache (the table of owners is 128 KB).
class SlotFiller {
 public:
  explicit SlotFiller(uint32_t slot_count)
      : slot_count_(slot_count), taken_((slot_count + 63) / 64, 0) {}

  // The first free slot from `position` on, `skip` apart; takes it. REQUIRES one that is free.
  // A step is an addition and a conditional subtraction: no division, and no branch on its result.
  uint32_t TakeFrom(uint32_t position, uint32_t skip) {
    while ((taken_[position >> 6] >> (position & 63) & 1) != 0) position = Step(position, skip);
    taken_[position >> 6] |= uint64_t{1} << (position & 63);
    return position;
  }
  uint32_t Step(uint32_t position, uint32_t skip) const {
    // position + skip - slot_count wraps below zero exactly when nothing is to be subtracted; the
    // smaller of the two as unsigned numbers is the remainder.
    const uint32_t sum = position + skip;
    return std::min(sum, sum - slot_count_);
  }

 private:
  uint32_t slot_count_;
  std::vector<uint64_t> taken_;
};

// Who has a turn in which round, without a pass over all backends in each (one backend of weight
// 1000 beside a thousand of weight 1 makes 33,000 rounds). A backend's k-th turn is in the first
// round t with t * weight >= k * max_weight. A ring of bitmaps, one for each of the coming rounds;
// walked bit by bit, so that within a round turns go in order.
class TurnCalendar {
 public:
  explicit TurnCalendar(const std::vector<MaglevBackend>& order) {
    uint32_t min_weight = kMaxWeight;
    for (const MaglevBackend& backend : order) {
      max_weight_ = std::max(max_weight_, backend.weight);
      min_weight = std::min(min_weight, backend.weight);
    }
    const uint32_t longest_gap = (max_weight_ + min_weight - 1) / min_weight;
    words_per_round_ = (order.size() + 63) / 64;
    ring_mask_ = std::bit_ceil(longest_gap + 1) - 1;
    bits_.assign((size_t{ring_mask_} + 1) * words_per_round_, 0);
    turns_.reserve(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      const uint32_t weight = order[i].weight;
      turns_.push_back({max_weight_ / weight, max_weight_ % weight, weight, 0});
      Schedule(i, 0);
    }
  }

  // Calls take_turn(i) in order of the turns until it returns false.
  template <typename TakeTurn>
  void Run(TakeTurn&& take_turn) {
    for (uint32_t round = 1;; ++round) {
      uint64_t* words = RoundWords(round);
      for (size_t w = 0; w < words_per_round_; ++w) {
        for (; words[w] != 0; words[w] &= words[w] - 1) {
          const size_t i = w * 64 + static_cast<size_t>(std::countr_zero(words[w]));
          if (!take_turn(i)) return;
          Schedule(i, round);
        }
      }
    }
  }

 private:
  // Rounds between two turns are quotient, or one more: `credit` is what the rounds up to the last
  // turn gave beyond that turn, in 1 / max_weight of a turn.
  struct Turn {
    uint32_t quotient;
    uint32_t remainder;
    uint32_t weight;
    uint32_t credit;  // 0 .. weight - 1
  };

  uint64_t* RoundWords(uint32_t round) {
    return &bits_[size_t{round & ring_mask_} * words_per_round_];
  }

  // The turn after the one in `round`.
  void Schedule(size_t i, uint32_t round) {
    Turn& turn = turns_[i];
    const bool one_more = turn.remainder > turn.credit;
    turn.credit += (one_more ? turn.weight : 0) - turn.remainder;
    const uint32_t next = round + turn.quotient + (one_more ? 1 : 0);
    RoundWords(next)[i / 64] |= uint64_t{1} << (i % 64);
  }

  uint32_t max_weight_ = 1;
  uint32_t ring_mask_ = 0;
  size_t words_per_round_ = 0;
  std::vector<uint64_t> bits_;
  std::vector<Turn> turns_;
};

}  // namespace

bool IsPrime(uint32_t n) {
  if (n < 4) return n >= 2;
  if (n % 2 == 0) return false;
  for (uint64_t d = 3; d * d <= n; d += 2) {
    if (n % d == 0) return false;
  }
  return true;
}

std::vector<uint16_t> BuildMaglev(std::span<const MaglevBackend> backends, uint32_t slot_count,
                                  uint64_t seed) {
  CHECK(IsPrime(slot_count));
  CHECK(slot_count < UINT32_MAX / 2);  // SlotFiller::Step
  std::vector<uint16_t> owners(slot_count, kNoOwner);
  const std::vector<MaglevBackend> order = InTurnOrder(backends);
  if (order.empty()) return owners;
  std::vector<MaglevWalk> walks;  // offset: where the backend's walk goes on
  walks.reserve(order.size());
  for (const MaglevBackend& backend : order) {
    walks.push_back(WalkOf(backend.identity, slot_count, seed));
  }
  SlotFiller filler(slot_count);
  uint32_t left = slot_count;
  TurnCalendar(order).Run([&](size_t i) {
    MaglevWalk& walk = walks[i];
    const uint32_t slot = filler.TakeFrom(walk.offset, walk.skip);
    walk.offset = filler.Step(slot, walk.skip);
    owners[slot] = order[i].index;
    return --left != 0;
  });
  return owners;
}

}  // namespace fairlead
