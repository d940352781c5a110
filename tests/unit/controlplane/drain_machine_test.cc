#include "controlplane/observe/drain/drain_machine.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kRevision = 7;

class DrainMachineTest : public testing::Test {
 protected:
  SteadyTime At(int ms) const { return start_ + milliseconds(ms); }

  SteadyTime start_{std::chrono::hours(5)};
  DrainMachine machine_{kRevision, start_ + milliseconds(60'000), Records::kOfAllFlows};
};

TEST_F(DrainMachineTest, RemainingFlowsAreUnknownBeforeTheFirstCount) {
  machine_.OnInForce(kRevision, At(10));
  EXPECT_EQ(machine_.remaining(), std::nullopt);
  EXPECT_EQ(machine_.End(At(59'999)), DrainEnd::kNotYet);
}

TEST_F(DrainMachineTest, IgnoresCountsFromBeforeTheDrainWasInForce) {
  machine_.OnCount({At(5), 0});
  machine_.OnInForce(kRevision, At(10));
  machine_.OnCount({At(9), 0});
  EXPECT_EQ(machine_.remaining(), std::nullopt);
  EXPECT_EQ(machine_.End(At(100)), DrainEnd::kNotYet);
}

TEST_F(DrainMachineTest, IgnoresCountsWhileAnOlderRevisionIsInForce) {
  machine_.OnInForce(kRevision - 1, At(10));
  machine_.OnCount({At(20), 0});
  EXPECT_EQ(machine_.End(At(100)), DrainEnd::kNotYet);
}

TEST_F(DrainMachineTest, CountsWhileALaterRevisionIsInForce) {
  machine_.OnInForce(kRevision + 3, At(10));
  machine_.OnCount({At(20), 0});
  EXPECT_EQ(machine_.End(At(100)), DrainEnd::kNoFlowsRemain);
}

TEST_F(DrainMachineTest, EndsWhenNoFlowRemains) {
  machine_.OnInForce(kRevision, At(10));
  machine_.OnCount({At(20), 3});
  EXPECT_EQ(machine_.remaining(), 3U);
  EXPECT_EQ(machine_.End(At(100)), DrainEnd::kNotYet);
  machine_.OnCount({At(220), 0});
  EXPECT_EQ(machine_.End(At(221)), DrainEnd::kNoFlowsRemain);
}

TEST_F(DrainMachineTest, EndsAtTheDeadlineWhateverRemains) {
  machine_.OnInForce(kRevision, At(10));
  machine_.OnCount({At(20), 3});
  EXPECT_EQ(machine_.End(At(59'999)), DrainEnd::kNotYet);
  EXPECT_EQ(machine_.End(At(60'000)), DrainEnd::kDeadlinePassed);
}

TEST_F(DrainMachineTest, WithoutADataplaneTheDrainEndsAtTheDeadline) {
  EXPECT_EQ(machine_.End(At(59'999)), DrainEnd::kNotYet);
  EXPECT_EQ(machine_.End(At(60'000)), DrainEnd::kDeadlinePassed);
}

TEST_F(DrainMachineTest, CountsOfALostDataplaneAreForgotten) {
  machine_.OnInForce(kRevision, At(10));
  machine_.OnCount({At(20), 0});
  machine_.OnDisconnect();
  EXPECT_EQ(machine_.remaining(), std::nullopt);
  EXPECT_EQ(machine_.End(At(100)), DrainEnd::kNotYet);
  machine_.OnInForce(kRevision - 1, At(200));  // the next dataplane does not have the drain yet
  machine_.OnCount({At(300), 0});
  EXPECT_EQ(machine_.End(At(301)), DrainEnd::kNotYet);
  machine_.OnInForce(kRevision, At(400));
  machine_.OnCount({At(350), 0});
  EXPECT_EQ(machine_.End(At(401)), DrainEnd::kNotYet);
  machine_.OnCount({At(500), 0});
  EXPECT_EQ(machine_.End(At(501)), DrainEnd::kNoFlowsRemain);
}

TEST_F(DrainMachineTest, ServiceWithoutRecordsIsDrainedAsSoonAsTheDrainIsInForce) {
  DrainMachine machine(kRevision, At(60'000), Records::kNone);
  EXPECT_EQ(machine.End(At(1)), DrainEnd::kNotYet);
  machine.OnInForce(kRevision, At(10));
  EXPECT_NE(machine.End(At(10)), DrainEnd::kNotYet);
}

class AdaptiveDrainMachineTest : public DrainMachineTest {
 protected:
  AdaptiveDrainMachineTest() { machine_.OnInForce(kRevision, At(10)); }
  DrainMachine machine_{kRevision, start_ + milliseconds(60'000), Records::kOfSeenFlows};
};

TEST_F(AdaptiveDrainMachineTest, ZeroRecordsDoNotEndTheDrainWhileSlotsShift) {
  EXPECT_TRUE(machine_.may_have_unseen_flows());
  machine_.OnCount({At(20), 0, 5});
  EXPECT_EQ(machine_.remaining(), 0U);
  EXPECT_TRUE(machine_.may_have_unseen_flows());
  EXPECT_EQ(machine_.End(At(100)), DrainEnd::kNotYet);
  machine_.OnCount({At(200), 0, 0});
  EXPECT_FALSE(machine_.may_have_unseen_flows());
  EXPECT_EQ(machine_.End(At(201)), DrainEnd::kNoFlowsRemain);
}

TEST_F(AdaptiveDrainMachineTest, RecordedFlowsKeepTheDrainRunningAfterTheShift) {
  machine_.OnCount({At(20), 3, 0});
  EXPECT_FALSE(machine_.may_have_unseen_flows());
  EXPECT_EQ(machine_.End(At(100)), DrainEnd::kNotYet);
}

TEST_F(AdaptiveDrainMachineTest, TheDeadlineEndsTheDrainWhileSlotsShift) {
  machine_.OnCount({At(20), 0, 5});
  EXPECT_EQ(machine_.End(At(60'000)), DrainEnd::kDeadlinePassed);
}

TEST_F(DrainMachineTest, DoesNotWaitForShiftingSlotsWhereAllFlowsAreRecorded) {
  machine_.OnInForce(kRevision, At(10));
  machine_.OnCount({At(20), 0, 5});
  EXPECT_FALSE(machine_.may_have_unseen_flows());
  EXPECT_EQ(machine_.End(At(21)), DrainEnd::kNoFlowsRemain);
}

TEST_F(DrainMachineTest, ZeroTimeoutEndsAtOnce) {
  DrainMachine machine(kRevision, start_, Records::kOfAllFlows);
  EXPECT_EQ(machine.End(start_), DrainEnd::kDeadlinePassed);
}

}  // namespace
}  // namespace fairlead
