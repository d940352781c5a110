#include <gtest/gtest.h>

#include "bench/pcc/baseline_lru.h"
#include "lib/flow/flow_table.h"

namespace fairlead::pcc {
namespace {

constexpr uint32_t kIdle = 100;

TEST(LruTable, EvictsTheFlowThatWasSilentForLongest) {
  LruTable table(2, kIdle);
  EXPECT_FALSE(table.Insert(11, 1, 0));
  EXPECT_FALSE(table.Insert(12, 2, 1));
  ASSERT_NE(table.Find(11, 2, false), nullptr);
  EXPECT_TRUE(table.Insert(13, 3, 3));
  EXPECT_EQ(table.Find(12, 4, false), nullptr);
  EXPECT_EQ(*table.Find(11, 4, false), 1U);
  EXPECT_EQ(*table.Find(13, 4, false), 3U);
}

TEST(LruTable, RemovesAFlowThatHasEnded) {
  LruTable table(4, kIdle);
  table.Insert(11, 1, 0);
  table.Find(11, 5, true);
  table.Expire(5 + kClosingTicks);
  EXPECT_EQ(table.live(), 1U);
  table.Expire(6 + kClosingTicks);
  EXPECT_EQ(table.live(), 0U);
  EXPECT_EQ(table.Find(11, 6 + kClosingTicks, false), nullptr);
}

TEST(LruTable, KeepsIdleFlowsButDoesNotCountThem) {
  LruTable table(2, kIdle);
  table.Insert(11, 1, 0);
  table.Insert(12, 2, 60);
  table.Expire(kIdle + 1);
  EXPECT_EQ(table.live(), 1U);
  EXPECT_FALSE(table.Insert(13, 3, kIdle + 2))
      << "the idle flow must go first, so no live flow is evicted";
  EXPECT_EQ(table.Find(11, kIdle + 3, false), nullptr);
  ASSERT_NE(table.Find(12, kIdle + 3, false), nullptr);
  EXPECT_EQ(table.live(), 2U);
}

TEST(LruTable, AnIdleFlowThatSendsAgainCountsAgain) {
  LruTable table(2, kIdle);
  table.Insert(11, 1, 0);
  table.Expire(kIdle + 1);
  EXPECT_EQ(table.live(), 0U);
  ASSERT_NE(table.Find(11, kIdle + 2, false), nullptr);
  EXPECT_EQ(table.live(), 1U);
}

TEST(LruTable, IsEmptyAfterClear) {
  LruTable table(2, kIdle);
  table.Insert(11, 1, 0);
  table.Clear();
  EXPECT_EQ(table.Find(11, 1, false), nullptr);
  EXPECT_FALSE(table.Insert(11, 2, 1));
  EXPECT_EQ(*table.Find(11, 1, false), 2U);
}

}  // namespace
}  // namespace fairlead::pcc
