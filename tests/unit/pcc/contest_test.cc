// Small contests whose result can be computed by hand.
#include "bench/pcc/contest.h"

#include <vector>

#include <gtest/gtest.h>

#include "bench/pcc/agent.h"
#include "bench/pcc/random.h"
#include "bench/pcc/simulation.h"

namespace fairlead::pcc {
namespace {

constexpr uint32_t kIdleTicks = 10 * kTicksPerSecond;

// Two balancers with backends A and B, to which C is added. A *moved* hash is one whose slot goes
// from A to C. Its router sends it to balancer 0 while there are two, and to balancer 1 when 0 is
// lost.
class ContestTest : public ::testing::Test {
 protected:
  ContestTest() {
    a_ = fleet_.Add(0x0a000001, 10);
    b_ = fleet_.Add(0x0a000002, 10);
    contest_.Publish(tick_);
  }

  // Finds two moved hashes. Adds C to another fleet, because a test can begin a flow before it adds
  // C to fleet_.
  std::vector<FlowHash> FindMoved() {
    Fleet other;
    other.Add(0x0a000001, 10);
    other.Add(0x0a000002, 10);
    other.Add(0x0a000003, 10);
    Contest later(setup_, &other);
    later.Publish(tick_);
    std::vector<FlowHash> found;
    for (Random random(1); found.size() < 2;) {
      const FlowHash hash{random.Next(), random.Next()};
      if (contest_.MaglevChoice(hash) == a_ && later.MaglevChoice(hash) == 3 &&
          contest_.BalancerOf(hash) == 0) {
        found.push_back(hash);
      }
    }
    return found;
  }
  void Send(Flow* flow, PacketKind kind) { EXPECT_TRUE(contest_.OnPacket(flow, kind, ++tick_)); }
  std::vector<uint64_t> Broken() {
    std::vector<uint64_t> broken;
    for (const System system : kSystems) broken.push_back(contest_.result().systems[system].broken);
    return broken;
  }

  Contest::Setup setup_{2, 4096, 251, kIdleTicks / kTicksPerSecond, false, true};
  Fleet fleet_;
  Contest contest_{setup_, &fleet_};
  uint32_t tick_ = 1000;
  uint32_t a_ = 0;
  uint32_t b_ = 0;
  static constexpr uint32_t kC = 3;
};

using Counts = std::vector<uint64_t>;  // maglev, lru, fairlead, fairlead+agent

TEST_F(ContestTest, WithOneBalancerOnlyMaglevBreaksAMovedFlow) {
  const std::vector<FlowHash> moved = FindMoved();
  Flow before{.hash = moved[0]};
  Send(&before, PacketKind::kSyn);
  EXPECT_EQ(before.backend_id, a_);
  EXPECT_EQ(fleet_.Add(0x0a000003, 10), kC);
  contest_.Publish(++tick_);
  Flow after{.hash = moved[1]};
  Send(&after, PacketKind::kSyn);
  EXPECT_EQ(after.backend_id, kC);
  Send(&before, PacketKind::kData);
  Send(&after, PacketKind::kData);
  EXPECT_EQ(Broken(), (Counts{1, 0, 0, 0}));
  Send(&before, PacketKind::kData);
  EXPECT_EQ(Broken(), (Counts{1, 0, 0, 0})) << "a flow must count once";
  // Fairlead looked up the four packets after the change: two of `before` and two of `after`. The
  // LRU looked up all five packets.
  EXPECT_EQ(contest_.result().systems[kFairlead].lookups, 4U);
  EXPECT_EQ(contest_.result().systems[kLru].lookups, 5U);
  contest_.Sweep(tick_);
  EXPECT_EQ(contest_.result().systems[kFairlead].peak_records, 2U);
  EXPECT_EQ(contest_.result().systems[kLru].peak_records, 2U);
}

TEST_F(ContestTest, AnotherBalancerKeepsTheOldFlowAndTheAgentTheNewFlow) {
  const std::vector<FlowHash> moved = FindMoved();
  Flow before{.hash = moved[0]};
  Send(&before, PacketKind::kSyn);
  fleet_.Add(0x0a000003, 10);
  contest_.Publish(++tick_);
  Flow after{.hash = moved[1]};
  Send(&after, PacketKind::kSyn);
  contest_.Lose(0);
  ASSERT_EQ(contest_.BalancerOf(moved[0]), 1U);
  // Balancer 1 has seen neither flow. LRU and Maglev select C, Fairlead selects A. With agents, A
  // passes the packet on to C.
  Send(&before, PacketKind::kData);
  EXPECT_EQ(Broken(), (Counts{1, 1, 0, 0}));
  Send(&after, PacketKind::kData);
  EXPECT_EQ(Broken(), (Counts{1, 1, 1, 0}));
  EXPECT_EQ(contest_.result().second_chances, 1U);
}

TEST_F(ContestTest, WithoutAListThereIsNoSecondChance) {
  setup_.second_chance = false;
  Contest contest(setup_, &fleet_);
  contest.Publish(tick_);
  const std::vector<FlowHash> moved = FindMoved();
  fleet_.Add(0x0a000003, 10);
  contest.Publish(++tick_);
  Flow after{.hash = moved[1]};
  EXPECT_TRUE(contest.OnPacket(&after, PacketKind::kSyn, ++tick_));
  contest.Lose(0);
  EXPECT_TRUE(contest.OnPacket(&after, PacketKind::kData, ++tick_));
  EXPECT_EQ(contest.result().systems[kAgent].broken, 1U);
}

TEST_F(ContestTest, AFlowWhoseBackendIsRemovedCountsAsLostAndNotAsBroken) {
  const std::vector<FlowHash> moved = FindMoved();
  Flow flow{.hash = moved[0]};
  Send(&flow, PacketKind::kSyn);
  fleet_.Remove(a_);
  contest_.Publish(++tick_);
  EXPECT_FALSE(contest_.OnPacket(&flow, PacketKind::kData, ++tick_));
  EXPECT_EQ(contest_.result().lost_with_backend, 1U);
  EXPECT_EQ(Broken(), (Counts{0, 0, 0, 0}));
}

TEST_F(ContestTest, AMovedFlowThatIsSilentForTooLongBreaksWithoutTheAgent) {
  const std::vector<FlowHash> moved = FindMoved();
  Flow flow{.hash = moved[0]};
  Send(&flow, PacketKind::kSyn);
  fleet_.Add(0x0a000003, 10);
  contest_.Publish(++tick_);
  tick_ += kIdleTicks + 1;
  contest_.Sweep(tick_);    // pinned
  contest_.Sweep(++tick_);  // still pinned: its former owner counts for 3 T
  Send(&flow, PacketKind::kData);
  EXPECT_EQ(Broken(), (Counts{1, 0, 1, 0}));
}

TEST_F(ContestTest, ABalancerThatReturnsEmptyBreaksAMovedFlow) {
  const std::vector<FlowHash> moved = FindMoved();
  Flow kept{.hash = moved[0]};
  Flow empty{.hash = moved[1]};
  Send(&kept, PacketKind::kSyn);
  Send(&empty, PacketKind::kSyn);
  fleet_.Add(0x0a000003, 10);
  contest_.Publish(++tick_);
  contest_.Lose(0);
  contest_.Return(0, false, ++tick_);
  Send(&kept, PacketKind::kData);
  EXPECT_EQ(Broken(), (Counts{1, 0, 0, 0}));
  contest_.Lose(0);
  contest_.Return(0, true, ++tick_);
  Send(&empty, PacketKind::kData);
  EXPECT_EQ(Broken(), (Counts{2, 1, 1, 1}));
}

TEST(Accepts, PassesOnUntilABackendHasTheSocketOrNoneIsLeft) {
  const std::vector<uint32_t> candidates{5, 6, 7};
  EXPECT_EQ(Accepts(4, candidates, 4), 4U);
  EXPECT_EQ(Accepts(4, candidates, 6), 6U);
  EXPECT_EQ(Accepts(4, candidates, 9), 7U);
  EXPECT_EQ(Accepts(4, {}, 9), 4U);
}

TEST(Simulation, IsTheSameForTheSameSeed) {
  Scenario scenario = QuickScenarios()[1];
  scenario.duration_s = 20;
  scenario.slots = 2003;
  const Result one = Simulate(scenario);
  const Result two = Simulate(scenario);
  EXPECT_EQ(one.packets, two.packets);
  EXPECT_EQ(one.systems[kMaglev].broken, two.systems[kMaglev].broken);
  EXPECT_GT(one.systems[kMaglev].broken, 0U);
  ++scenario.seed;
  EXPECT_NE(Simulate(scenario).packets, one.packets);
}

}  // namespace
}  // namespace fairlead::pcc
