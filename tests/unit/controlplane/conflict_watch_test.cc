#include "controlplane/publish/conflict_watch.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

using std::chrono::seconds;

constexpr SteadyTime kStart{seconds(1000)};

TEST(ConflictWatch, ReportsNewConflictsAtMostOnceAMinute) {
  ConflictWatch watch;
  EXPECT_EQ(watch.Observe(0, kStart), std::nullopt);
  EXPECT_EQ(watch.Observe(3, kStart + seconds(1)), 3U);
  EXPECT_EQ(watch.Observe(3, kStart + seconds(2)), std::nullopt);
  EXPECT_EQ(watch.Observe(5, kStart + seconds(3)), std::nullopt);
  EXPECT_EQ(watch.Observe(9, kStart + seconds(60)), std::nullopt);
  EXPECT_EQ(watch.Observe(9, kStart + seconds(61)), 6U)
      << "all conflicts since the last report must count";
  EXPECT_EQ(watch.Observe(9, kStart + seconds(200)), std::nullopt)
      << "no conflict since the last report";
  EXPECT_EQ(watch.Observe(10, kStart + seconds(201)), 1U);
}

TEST(ConflictWatch, IgnoresConflictsFromBeforeItsFirstCall) {
  ConflictWatch watch;
  EXPECT_EQ(watch.Observe(7, kStart), std::nullopt);
  EXPECT_EQ(watch.Observe(8, kStart + seconds(1)), 1U);
}

TEST(ConflictWatch, CountsARestartedDataplaneFromZero) {
  ConflictWatch watch;
  EXPECT_EQ(watch.Observe(7, kStart), std::nullopt);
  EXPECT_EQ(watch.Observe(0, kStart + seconds(1)), std::nullopt);
  EXPECT_EQ(watch.Observe(2, kStart + seconds(2)), 2U);
}

}  // namespace
}  // namespace fairlead
