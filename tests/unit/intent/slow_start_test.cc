#include "lib/intent/slow_start.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <gtest/gtest.h>

#include "lib/intent/derive.h"
#include "lib/intent/json.h"
#include "lib/maglev/maglev_table.h"

namespace fairlead {
namespace {

TEST(SlowStart, ClimbsInTenStepsOfATenth) {
  for (const uint32_t slow_start_ms : {10'000U, 900'000U, 1'003U, 10U}) {
    std::vector<uint32_t> percents{SlowStartPercent(0, slow_start_ms)};
    uint64_t at_ms = 0;
    while (const auto next = NextSlowStartStepMs(at_ms, slow_start_ms)) {
      ASSERT_GT(*next, at_ms);
      EXPECT_EQ(SlowStartPercent(*next - 1, slow_start_ms), percents.back());
      at_ms = *next;
      percents.push_back(SlowStartPercent(at_ms, slow_start_ms));
    }
    EXPECT_EQ(percents, (std::vector<uint32_t>{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}));
    EXPECT_EQ(at_ms, (uint64_t{9} * slow_start_ms + 9) / 10);
    EXPECT_EQ(SlowStartPercent(uint64_t{1} << 40, slow_start_ms), 100U);
  }
}

TEST(SlowStart, IsOffByDefault) {
  EXPECT_EQ(ServiceSpec().slow_start_ms, 0U);
  EXPECT_EQ(SlowStartPercent(0, 0), 100U);
  EXPECT_EQ(NextSlowStartStepMs(0, 0), std::nullopt);
}

TEST(SlowStart, WeightsAreScaledAsFarAsSnapshotsAllow) {
  EXPECT_EQ(SlowStartFactor(1), 10U);
  EXPECT_EQ(SlowStartFactor(100), 10U);
  EXPECT_EQ(SlowStartFactor(150), 6U);
  EXPECT_EQ(SlowStartFactor(1000), 1U);
  EXPECT_EQ(SlowStartWeight(1, 10, 10), 1);
  EXPECT_EQ(SlowStartWeight(1, 10, 70), 7);
  EXPECT_EQ(SlowStartWeight(3, 10, 100), 30);
  EXPECT_EQ(SlowStartWeight(1000, 1, 10), 100);
  EXPECT_EQ(SlowStartWeight(1, 1, 10), 1) << "at least 1";
  EXPECT_EQ(SlowStartWeight(0, 10, 10), 0);
}

TEST(SlowStart, MoreThanHalfOfTheWeightIsTooMuch) {
  EXPECT_FALSE(ClimbsTooMuch(0, 0));
  EXPECT_FALSE(ClimbsTooMuch(1, 2));
  EXPECT_TRUE(ClimbsTooMuch(2, 3));
  EXPECT_TRUE(ClimbsTooMuch(1, 1));
}

TEST(SlowStart, IsAFieldOfAService) {
  const auto with = [](const nlohmann::json& value) {
    return ServiceFromJson({{"name", "web"},
                            {"frontends", nlohmann::json::array({"203.0.113.10:80/tcp"})},
                            {"slow_start", value}});
  };
  EXPECT_EQ(with("15m")->slow_start_ms, 900'000U);
  EXPECT_EQ(ServiceToJson(*with("90s"))["slow_start"], "90s");
  EXPECT_EQ(with("16m").status().message(), "slow_start: 960s is not within 0s..900s");
  EXPECT_EQ(with("-1s").status().message().substr(0, 12), "slow_start: ");
  EXPECT_FALSE(with(60).ok());
}

// A service of `weights`. The first backend has `percent` of its weight, 0: it is not there.
std::vector<uint16_t> SlotsAt(const std::vector<uint16_t>& weights, uint32_t percent) {
  const uint32_t factor = SlowStartFactor(*std::ranges::max_element(weights));
  std::vector<MaglevBackend> backends;
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint32_t share = i == 0 ? percent : 100;
    const uint32_t weight = share == 0 ? 0 : SlowStartWeight(weights[i], factor, share);
    backends.push_back({(i + 1) * 0x9e3779b97f4a7c15, weight, static_cast<uint16_t>(i)});
  }
  return BuildMaglev(backends, kDefaultSlotCount, 1);
}

double ShareThatMoves(const std::vector<uint16_t>& a, const std::vector<uint16_t>& b) {
  size_t moved = 0;
  for (size_t i = 0; i < a.size(); ++i) moved += a[i] != b[i] ? 1 : 0;
  return static_cast<double>(moved) / static_cast<double>(a.size());
}

TEST(SlowStart, TheFactorMovesNoSlot) {
  const std::vector<uint16_t> weights = {1, 2, 3, 1, 1};
  std::vector<MaglevBackend> backends;
  for (size_t i = 0; i < weights.size(); ++i) {
    backends.push_back({(i + 1) * 0x9e3779b97f4a7c15, weights[i], static_cast<uint16_t>(i)});
  }
  EXPECT_EQ(SlotsAt(weights, 100), BuildMaglev(backends, kDefaultSlotCount, 1));
}

// The figures are in docs/operations.md.
TEST(SlowStart, EachStepMovesFewSlotsBeyondThoseThatTheBackendGains) {
  for (const size_t count : {2U, 5U, 10U, 100U}) {
    const std::vector<uint16_t> weights(count, 1);
    double total = 0;
    double most = 0;
    std::vector<uint16_t> before = SlotsAt(weights, 0);
    for (uint32_t percent = 10; percent <= 100; percent += 10) {
      const std::vector<uint16_t> after = SlotsAt(weights, percent);
      const double moved = ShareThatMoves(before, after);
      total += moved;
      most = std::max(most, moved);
      before = after;
    }
    const double at_once = ShareThatMoves(SlotsAt(weights, 0), SlotsAt(weights, 100));
    std::printf(
        "%zu backends: at most %.2f %% of the slots move in a step, %.2f %% in all, %.2f %% "
        "without slow_start\n",
        count, 100 * most, 100 * total, 100 * at_once);
    const double gained = 1.0 / static_cast<double>(count);
    // Some slots move between the other backends.
    EXPECT_LT(most, 0.2 * gained + 0.003) << count;
    EXPECT_LT(total, gained + 0.035) << count;
  }
}

TEST(DeriveService, GivesAClimbingBackendItsShare) {
  ServiceSpec service;
  service.name = "web";
  service.frontends = {Frontend::Parse("203.0.113.10:80/tcp").value()};
  BackendSpec specs[2];
  specs[0].weight = 3;
  specs[1].weight = 4;
  ObservedBackend healthy;
  std::vector<BackendToDerive> backends{{&specs[0], healthy}, {&specs[1], healthy}};
  SnapshotService derived = DeriveService(service, 7, backends, false, {});
  EXPECT_EQ(derived.backends[0].weight, 3);
  backends[1].observed.percent = 20;
  derived = DeriveService(service, 7, backends, false, {});
  EXPECT_EQ(derived.backends[0].weight, 30);
  EXPECT_EQ(derived.backends[1].weight, 8);
}

}  // namespace
}  // namespace fairlead
