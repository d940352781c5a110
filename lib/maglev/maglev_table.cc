#include "lib/maglev/maglev_table.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

#include "lib/base/check.h"
#include "lib/maglev/permutation.h"

namespace fairlead {
namespace {

// Fills the slots: gives each backend, at its turn, the next free slot in its walk.
//
// Nearly all time is spent probing slots that are taken: a dozen for each slot that is filled, and
// thousands for each of the last few. So a probe must take about a nanosecond: an addition and a
// conditional subtraction, without division and without a branch on the result. The last slots are
// found in reverse: among the free slots, the one that the walk reaches first.
class SlotFiller {
 public:
  SlotFiller(std::span<const MaglevBackend> order, uint32_t slot_count, uint64_t seed)
      : slot_count_(slot_count), owners_(slot_count, kNoOwner), left_(slot_count) {
    members_.reserve(order.size());
    for (const MaglevBackend& backend : order) {
      const MaglevWalk walk = WalkOf(backend.identity, slot_count, seed);
      members_.push_back({walk.offset, walk.skip, 0, backend.index});
    }
  }

  // Gives member i its next slot; false if that was the last one. REQUIRES a free slot.
  bool Take(size_t i) {
    Member& member = members_[i];
    const uint32_t slot = left_ > kLastSlots ? Probe(member) : TakeLast(&member);
    owners_[slot] = member.owner;
    member.position = Step(slot, member.skip);
    if (--left_ == kLastSlots) CollectFree();
    return left_ != 0;
  }

  std::vector<uint16_t> TakeOwners() && { return std::move(owners_); }

 private:
  // With at most this many free slots, they are compared. Walking (slot_count / free probes) and
  // comparing (free multiplications) cost the same at 100 to 250 free slots of 65537. 65537 x 1000
  // takes 1.3 ms with comparing, 1.8 ms without (2026-11, gcc 12, Sapphire Rapids).
  static constexpr uint32_t kLastSlots = 128;

  struct Member {
    uint32_t position;  // where its walk continues
    uint32_t skip;
    uint32_t inverse;  // of skip modulo slot_count; 0 = not computed
    uint16_t owner;    // its index
  };

  uint32_t Step(uint32_t position, uint32_t skip) const {
    // position + skip - slot_count wraps below zero exactly if nothing must be subtracted. The
    // smaller of the two unsigned numbers is the remainder.
    const uint32_t sum = position + skip;
    return std::min(sum, sum - slot_count_);
  }

  uint32_t Probe(const Member& member) const {
    uint32_t position = member.position;
    while (owners_[position] != kNoOwner) position = Step(position, member.skip);
    return position;
  }

  void CollectFree() {
    for (uint32_t slot = 0; slot < slot_count_; ++slot) {
      if (owners_[slot] == kNoOwner) last_.push_back(slot);
    }
  }

  // The walk reaches `slot` after (slot - position) / skip steps, modulo slot_count.
  uint32_t TakeLast(Member* member) {
    if (last_.empty()) CollectFree();  // a table of no more than kLastSlots
    if (member->inverse == 0) member->inverse = InverseOf(member->skip);
    uint64_t fewest_steps = slot_count_;
    size_t first = 0;
    for (size_t i = 0; i < last_.size(); ++i) {
      const uint64_t distance = uint64_t{last_[i]} + slot_count_ - member->position;
      const uint64_t steps = distance * member->inverse % slot_count_;
      if (steps >= fewest_steps) continue;
      fewest_steps = steps;
      first = i;
    }
    const uint32_t slot = last_[first];
    last_[first] = last_.back();
    last_.pop_back();
    return slot;
  }

  // Euclid's algorithm, extended: factor * skip = remainder (mod slot_count) holds for both pairs.
  uint32_t InverseOf(uint32_t skip) const {
    int64_t factor = 0;
    int64_t next_factor = 1;
    int64_t remainder = slot_count_;
    int64_t next_remainder = skip;
    while (next_remainder != 0) {
      const int64_t quotient = remainder / next_remainder;
      factor = std::exchange(next_factor, factor - quotient * next_factor);
      remainder = std::exchange(next_remainder, remainder - quotient * next_remainder);
    }
    return static_cast<uint32_t>(factor < 0 ? factor + slot_count_ : factor);
  }

  uint32_t slot_count_;
  std::vector<uint16_t> owners_;
  uint32_t left_;
  std::vector<Member> members_;
  std::vector<uint32_t> last_;  // the free slots, once there are at most kLastSlots
};

// Knows which backends have a turn in which round, without a pass over all backends in each round:
// one backend of weight 1000 and a thousand of weight 1 make 33,000 rounds. A backend's k-th turn
// is in the first round t with t * weight >= k * max_weight. The calendar is a ring of bitmaps, one
// for each of the next rounds. It is read bit by bit, so that within a round turns are in order.
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
  // The number of rounds between two turns is quotient, or one more. `credit` is what the rounds up
  // to the last turn gave in excess of that turn, in 1 / max_weight of a turn.
  struct Turn {
    uint32_t quotient;
    uint32_t remainder;
    uint32_t weight;
    uint32_t credit;  // 0 .. weight - 1
  };

  uint64_t* RoundWords(uint32_t round) {
    return &bits_[size_t{round & ring_mask_} * words_per_round_];
  }

  // Schedules the turn after the one in `round`.
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
  const std::vector<MaglevBackend> order = InTurnOrder(backends);
  SlotFiller filler(order, slot_count, seed);
  if (!order.empty()) TurnCalendar(order).Run([&](size_t i) { return filler.Take(i); });
  return std::move(filler).TakeOwners();
}

}  // namespace fairlead
