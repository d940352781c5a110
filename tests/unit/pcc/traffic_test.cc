#include "bench/pcc/traffic.h"

#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "bench/pcc/group.h"

namespace fairlead::pcc {
namespace {

struct Seen {
  std::vector<std::pair<uint32_t, PacketKind>> packets;  // step, kind
  float keepalive_s = 0;
};

std::map<uint64_t, Seen> Watch(const FlowModel& model, uint64_t seed, uint32_t steps) {
  Traffic traffic(model, seed);
  std::map<uint64_t, Seen> seen;
  for (uint32_t step = 1; step <= steps; ++step) {
    traffic.Step([&](Flow* flow, PacketKind kind) {
      Seen& of = seen[flow->hash.low];
      of.packets.emplace_back(step, kind);
      of.keepalive_s = flow->keepalive_s;
      return true;
    });
  }
  return seen;
}

TEST(Traffic, FlowsBeginWithASynAndEndWithAFin) {
  FlowModel model;
  model.arrivals_per_s = 50;
  model.vanish_share = 0;
  size_t ended = 0;
  for (const auto& [hash, seen] : Watch(model, 1, 60 * kStepsPerSecond)) {
    EXPECT_EQ(seen.packets.front().second, PacketKind::kSyn);
    for (size_t i = 1; i < seen.packets.size(); ++i) {
      EXPECT_NE(seen.packets[i].second, PacketKind::kSyn);
      if (i + 1 < seen.packets.size()) {
        EXPECT_EQ(seen.packets[i].second, PacketKind::kData);
      }
    }
    ended += seen.packets.back().second == PacketKind::kFin ? 1 : 0;
  }
  EXPECT_GT(ended, 1000U);
}

TEST(Traffic, NoFlowIsSilentForLongerThanItsKeepAlive) {
  FlowModel model;
  model.arrivals_per_s = 20;
  model.idle_share = 0.3;
  model.keepalive_max_s = 60;
  size_t gaps = 0;
  for (const auto& [hash, seen] : Watch(model, 2, 300 * kStepsPerSecond)) {
    EXPECT_LE(seen.keepalive_s, 60);
    for (size_t i = 1; i < seen.packets.size(); ++i, ++gaps) {
      const uint32_t steps = seen.packets[i].first - seen.packets[i - 1].first;
      EXPECT_LE(steps, seen.keepalive_s * kStepsPerSecond + 1);
    }
  }
  EXPECT_GT(gaps, 10'000U);
}

TEST(Traffic, FlowsStartAndEndAtTheRatesOfTheModel) {
  FlowModel model;
  model.arrivals_per_s = 200;
  model.idle_share = 0;
  model.vanish_share = 0;
  size_t flows = 0;
  size_t short_flows = 0;
  for (const auto& [hash, seen] : Watch(model, 3, 30 * kStepsPerSecond)) {
    const uint32_t born = seen.packets.front().first;
    if (born > 20 * kStepsPerSecond) continue;
    ++flows;
    const bool ended = seen.packets.back().second == PacketKind::kFin;
    short_flows += ended && seen.packets.back().first - born < 2 * kStepsPerSecond ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(flows), 4000, 200);
  EXPECT_NEAR(static_cast<double>(short_flows) / static_cast<double>(flows), 0.45, 0.03);
}

TEST(Traffic, IsTheSameForTheSameSeed) {
  FlowModel model;
  model.arrivals_per_s = 20;
  const auto packets = [&](uint64_t seed) {
    std::vector<std::pair<uint64_t, size_t>> counts;
    for (const auto& [hash, seen] : Watch(model, seed, 400)) {
      counts.emplace_back(hash, seen.packets.size());
    }
    return counts;
  };
  EXPECT_EQ(packets(7), packets(7));
  EXPECT_NE(packets(7), packets(8));
}

TEST(Traffic, TheStartPopulationIsAsLargeAsTheOneThatTheModelReaches) {
  FlowModel model;
  model.arrivals_per_s = 50;
  model.duration_max_s = 300;
  Traffic started(model, 5);
  uint32_t admitted = 0;
  started.StartPopulation([&](Flow* flow) { admitted += flow->packets == 2 ? 1 : 0; });
  Traffic grown(model, 6);
  for (uint32_t step = 0; step < 400 * kStepsPerSecond; ++step) {
    grown.Step([](Flow*, PacketKind) { return true; });
  }
  EXPECT_EQ(started.live(), admitted);
  EXPECT_NEAR(started.live(), grown.live(), grown.live() * 0.1);
}

std::vector<uint32_t> Picks(const Ecmp& ecmp) {
  Random random(9);
  std::vector<uint32_t> picks;
  for (int i = 0; i < 4000; ++i) picks.push_back(ecmp.Pick({random.Next(), random.Next()}));
  return picks;
}

TEST(Ecmp, ResilientMovesOnlyTheFlowsOfTheLostBalancer) {
  Ecmp ecmp(4, false);
  const std::vector<uint32_t> before = Picks(ecmp);
  ecmp.SetAlive(2, false);
  const std::vector<uint32_t> during = Picks(ecmp);
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] == 2) {
      EXPECT_NE(during[i], 2U);
    } else {
      EXPECT_EQ(during[i], before[i]);
    }
  }
  ecmp.SetAlive(2, true);
  EXPECT_EQ(Picks(ecmp), before);
}

TEST(Ecmp, FullRehashMovesMostFlows) {
  Ecmp ecmp(4, true);
  const std::vector<uint32_t> before = Picks(ecmp);
  ecmp.SetAlive(2, false);
  const std::vector<uint32_t> during = Picks(ecmp);
  size_t moved = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_NE(during[i], 2U);
    moved += during[i] != before[i] ? 1 : 0;
  }
  EXPECT_GT(moved, before.size() / 2);
}

}  // namespace
}  // namespace fairlead::pcc
