#include "bench/pcc/churn.h"

#include <set>

#include <gtest/gtest.h>

namespace fairlead::pcc {
namespace {

TEST(Churn, MixedKeepsTheNumberOfBackends) {
  Fleet fleet;
  Churn churn({ChurnKind::kMixed, 100, 2'000, 30'000}, 1, &fleet);
  for (uint64_t ms = 0; ms <= 2'000'000; ms += 1000) {
    churn.Advance(ms);
    ASSERT_NEAR(fleet.active_count(), 100, 15);
  }
  EXPECT_EQ(churn.changes(), 1000U);
  EXPECT_FALSE(fleet.InService(0));
}

TEST(Churn, ADrainingBackendServesUntilItsDeadline) {
  Fleet fleet;
  Churn churn({ChurnKind::kRolling, 3, 10'000, 30'000}, 1, &fleet);
  EXPECT_TRUE(churn.Advance(10'000));
  EXPECT_EQ(fleet.Find(1)->state, BackendState::kDraining);
  EXPECT_EQ(fleet.active_count(), 3U);
  churn.Advance(39'999);
  EXPECT_TRUE(fleet.InService(1));
  churn.Advance(40'000);
  EXPECT_FALSE(fleet.InService(1));
  EXPECT_EQ(fleet.Find(1), nullptr);
  churn.Advance(200'000);
  std::set<uint32_t> addresses;
  for (const Member& member : fleet.members()) addresses.insert(member.address);
  EXPECT_EQ(addresses, (std::set<uint32_t>{0x0a000004, 0x0a000005, 0x0a000006}));
}

TEST(Churn, AFlappingBackendReturns) {
  Fleet fleet;
  Churn churn({ChurnKind::kFlaps, 5, 100'000, 30'000}, 1, &fleet);
  churn.Advance(100'000);
  EXPECT_EQ(fleet.active_count(), 4U);
  uint32_t down = 0;
  for (const Member& member : fleet.members()) {
    if (member.state == BackendState::kDown) down = member.id;
  }
  EXPECT_FALSE(fleet.InService(down));
  EXPECT_TRUE(churn.Advance(115'000));
  EXPECT_TRUE(fleet.InService(down));
  EXPECT_FALSE(churn.Advance(116'000));
}

}  // namespace
}  // namespace fairlead::pcc
