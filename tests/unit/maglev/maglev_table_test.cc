#include "lib/maglev/maglev_table.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

constexpr uint64_t kSeed = 0x5eed;

std::vector<MaglevBackend> MakeBackends(size_t count, uint64_t seed, uint32_t max_weight = 1) {
  std::mt19937_64 random(seed);
  std::vector<MaglevBackend> backends;
  for (size_t i = 0; i < count; ++i) {
    backends.push_back(
        {random(), static_cast<uint32_t>(random() % max_weight + 1), static_cast<uint16_t>(i)});
  }
  return backends;
}

std::map<uint16_t, uint32_t> CountSlots(const std::vector<uint16_t>& owners) {
  std::map<uint16_t, uint32_t> count;
  for (const uint16_t owner : owners) ++count[owner];
  return count;
}

TEST(IsPrime, AgreesWithASieveUpToTenThousand) {
  constexpr uint32_t kLimit = 10000;
  std::vector<bool> composite(kLimit, false);
  for (uint32_t n = 0; n < kLimit; ++n) {
    const bool prime = n >= 2 && !composite[n];
    EXPECT_EQ(IsPrime(n), prime) << n;
    for (uint32_t multiple = 2 * n; prime && multiple < kLimit; multiple += n) {
      composite[multiple] = true;
    }
  }
}

TEST(IsPrime, IsRightForLargePrimesAndTheirNeighbours) {
  EXPECT_TRUE(IsPrime(65537));
  EXPECT_FALSE(IsPrime(65536));
  EXPECT_TRUE(IsPrime(16777213));    // the largest below 2^24
  EXPECT_TRUE(IsPrime(4294967291));  // the largest below 2^32
  EXPECT_FALSE(IsPrime(4294967295));
  EXPECT_FALSE(IsPrime(65521U * 65521U));  // the square of a prime
}

TEST(BuildMaglev, LeavesAllSlotsWithoutOwnerIfThereAreNoBackends) {
  EXPECT_EQ(BuildMaglev({}, 251, kSeed), std::vector<uint16_t>(251, kNoOwner));
}

TEST(BuildMaglev, LeavesAllSlotsWithoutOwnerIfAllWeightsAreZero) {
  std::vector<MaglevBackend> backends = MakeBackends(5, 1);
  for (MaglevBackend& backend : backends) backend.weight = 0;
  EXPECT_EQ(BuildMaglev(backends, 251, kSeed), std::vector<uint16_t>(251, kNoOwner));
}

TEST(BuildMaglev, GivesAllSlotsToASingleBackend) {
  const MaglevBackend only{42, 7, 3};
  EXPECT_EQ(BuildMaglev({&only, 1}, 65537, kSeed), std::vector<uint16_t>(65537, 3));
}

TEST(BuildMaglev, GivesNoSlotToABackendOfWeightZeroAndDoesNotMoveOtherSlots) {
  std::vector<MaglevBackend> backends = MakeBackends(10, 2, 5);
  backends[4].weight = 0;
  const std::vector<uint16_t> with = BuildMaglev(backends, 65537, kSeed);
  EXPECT_FALSE(CountSlots(with).contains(4));
  backends.erase(backends.begin() + 4);
  EXPECT_EQ(BuildMaglev(backends, 65537, kSeed), with);
}

TEST(BuildMaglev, FillsTheSmallestTable) {
  const std::vector<MaglevBackend> backends = MakeBackends(2, 3);
  const std::vector<uint16_t> owners = BuildMaglev(backends, 2, kSeed);
  EXPECT_EQ(std::set<uint16_t>(owners.begin(), owners.end()), (std::set<uint16_t>{0, 1}));
}

TEST(BuildMaglev, GivesOneSlotEachIfThereAreMoreBackendsThanSlots) {
  const std::vector<MaglevBackend> backends = MakeBackends(1000, 4);
  const std::vector<uint16_t> owners = BuildMaglev(backends, 251, kSeed);
  EXPECT_EQ(CountSlots(owners).size(), 251U);
  EXPECT_FALSE(CountSlots(owners).contains(kNoOwner));
}

TEST(BuildMaglev, DependsOnTheSeed) {
  const std::vector<MaglevBackend> backends = MakeBackends(10, 5);
  EXPECT_NE(BuildMaglev(backends, 251, 1), BuildMaglev(backends, 251, 2));
}

TEST(BuildMaglev, DoesNotDependOnTheOrderOfTheInput) {
  std::mt19937_64 random(6);
  std::vector<MaglevBackend> backends = MakeBackends(50, 6, 1000);
  const std::vector<uint16_t> owners = BuildMaglev(backends, 65537, kSeed);
  for (int i = 0; i < 5; ++i) {
    std::shuffle(backends.begin(), backends.end(), random);
    EXPECT_EQ(BuildMaglev(backends, 65537, kSeed), owners);
  }
}

// Other indices change the values in the slots, but not which backend owns a slot.
TEST(BuildMaglev, DoesNotDependOnTheIndices) {
  const std::vector<MaglevBackend> backends = MakeBackends(50, 7, 10);
  std::vector<MaglevBackend> renumbered = backends;
  for (MaglevBackend& backend : renumbered) {
    backend.index = static_cast<uint16_t>(1000 - backend.index);
  }
  const std::vector<uint16_t> a = BuildMaglev(backends, 65537, kSeed);
  const std::vector<uint16_t> b = BuildMaglev(renumbered, 65537, kSeed);
  for (size_t i = 0; i < a.size(); ++i) ASSERT_EQ(a[i], 1000 - b[i]) << "slot " << i;
}

// Balancers of a group may run different builds, so this table is part of the protocol between
// them. If it changes, a rolling upgrade moves flows. The expected owners were computed in Python
// from the description in maglev_table.h.
TEST(BuildMaglev, GivesTheSameResultInEveryRelease) {
  std::vector<MaglevBackend> backends;
  for (uint16_t i = 0; i < 3; ++i) backends.push_back({i + 1U, i + 1U, i});
  const std::vector<uint16_t> owners = BuildMaglev(backends, 13, kSeed);
  EXPECT_EQ(owners, BuildMaglevPlain(backends, 13, kSeed));
  EXPECT_EQ(owners, (std::vector<uint16_t>{1, 2, 2, 1, 0, 0, 2, 1, 2, 2, 2, 1, 2}));
}

struct DifferentialRow {
  size_t backends;
  uint32_t slots;
  uint32_t max_weight;
};

class MaglevDifferential : public ::testing::TestWithParam<DifferentialRow> {};

TEST_P(MaglevDifferential, EqualsThePlainAlgorithm) {
  const DifferentialRow& row = GetParam();
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<MaglevBackend> backends = MakeBackends(row.backends, seed, row.max_weight);
    ASSERT_EQ(BuildMaglev(backends, row.slots, seed), BuildMaglevPlain(backends, row.slots, seed));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, MaglevDifferential,
    ::testing::Values(DifferentialRow{1, 2, 1}, DifferentialRow{2, 3, 1000},
                      DifferentialRow{3, 7, 2}, DifferentialRow{20, 127, 9},
                      DifferentialRow{20, 131, 1000}, DifferentialRow{300, 251, 1000},
                      DifferentialRow{63, 4099, 3}, DifferentialRow{64, 4099, 1000},
                      DifferentialRow{65, 4099, 7}, DifferentialRow{10, 65537, 1},
                      DifferentialRow{100, 65537, 1000}, DifferentialRow{1000, 65537, 1},
                      DifferentialRow{1000, 65537, 1000}),
    [](const auto& row) {
      return std::to_string(row.param.backends) + "Over" + std::to_string(row.param.slots) +
             "WeightsTo" + std::to_string(row.param.max_weight);
    });

TEST(BuildMaglev, EqualsThePlainAlgorithmForOneHeavyBackendAmongLightOnes) {
  std::vector<MaglevBackend> backends = MakeBackends(200, 8);
  backends[77].weight = kMaxWeight;
  EXPECT_EQ(BuildMaglev(backends, 65537, kSeed), BuildMaglevPlain(backends, 65537, kSeed));
}

// The maximum of backends, with weights from 1 to 1000. Most get no slot. The build must terminate.
TEST(BuildMaglev, EqualsThePlainAlgorithmForTheMaximumOfBackends) {
  const std::vector<MaglevBackend> backends = MakeBackends(kMaxBackendsPerService, 9, kMaxWeight);
  EXPECT_EQ(BuildMaglev(backends, 4099, kSeed), BuildMaglevPlain(backends, 4099, kSeed));
}

TEST(BuildMaglev, SharesSlotsEquallyAmongEqualWeights) {
  for (const auto& [_, count] : CountSlots(BuildMaglev(MakeBackends(100, 10), 65537, kSeed))) {
    EXPECT_GE(count, 65537U / 100);
    EXPECT_LE(count, 65537U / 100 + 1);
  }
}

TEST(BuildMaglev, SharesSlotsByWeight) {
  const std::vector<MaglevBackend> backends = MakeBackends(50, 11, 100);
  double weights = 0;
  for (const MaglevBackend& backend : backends) weights += backend.weight;
  auto count = CountSlots(BuildMaglev(backends, 65537, kSeed));
  double worst = 0;
  for (const MaglevBackend& backend : backends) {
    const double expected = 65537 * backend.weight / weights;
    // Rounding may add or remove one turn. Beyond that, the share must be exact to 1 %.
    EXPECT_NEAR(count[backend.index], expected, 1 + expected * 0.01);
    worst = std::max(worst, std::abs(count[backend.index] / expected - 1));
  }
  std::printf("largest deviation from the weights: %.2f %%\n", worst * 100);
}

// The share of slots with another owner in `after` than in `before`, without those of `gone`.
double ShareMoved(const std::vector<uint16_t>& before, const std::vector<uint16_t>& after,
                  uint16_t gone) {
  uint32_t moved = 0;
  uint32_t kept = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] == gone || after[i] == gone) continue;
    ++(before[i] == after[i] ? kept : moved);
  }
  return static_cast<double>(moved) / (moved + kept);
}

TEST(BuildMaglev, MovesFewOtherSlotsWhenOneOfAHundredBackendsIsRemoved) {
  std::vector<MaglevBackend> backends = MakeBackends(100, 12);
  const std::vector<uint16_t> before = BuildMaglev(backends, 65537, kSeed);
  backends.erase(backends.begin() + 30);
  const double moved = ShareMoved(before, BuildMaglev(backends, 65537, kSeed), 30);
  std::printf("one of 100 removed: %.2f %% of the others' slots moved\n", moved * 100);
  EXPECT_LT(moved, 0.03);
  EXPECT_GT(moved, 0.0);
}

TEST(BuildMaglev, MovesFewOtherSlotsWhenAWeightChanges) {
  std::vector<MaglevBackend> backends = MakeBackends(100, 13);
  for (MaglevBackend& backend : backends) backend.weight = 10;
  const std::vector<uint16_t> before = BuildMaglev(backends, 65537, kSeed);
  backends[30].weight = 5;
  const double moved = ShareMoved(before, BuildMaglev(backends, 65537, kSeed), 30);
  std::printf("one of 100 halved: %.2f %% of the others' slots moved\n", moved * 100);
  EXPECT_LT(moved, 0.03);
}

}  // namespace
}  // namespace fairlead
