#include "controlplane/observe/drain/drain_machine.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kGeneration = 7;

class DrainMachineTest : public testing::Test {
 protected:
  SteadyTime At(int ms) const { return start_ + milliseconds(ms); }

  SteadyTime start_{std::chrono::hours(5)};
  DrainMachine machine_{kGeneration, start_ + milliseconds(60'000), Records::kOfAllFlows};
};

TEST_F(DrainMachineTest, NothingIsKnownBeforeTheFirstCount) {
  machine_.OnInForce(kGeneration, At(10));
  EXPECT_EQ(machine_.remaining(), std::nullopt);
  EXPECT_EQ(machine_.Finished(At(59'999)), std::nullopt);
}

TEST_F(DrainMachineTest, CountFromBeforeItWasInForceIsNotBelieved) {
  machine_.OnCount({At(5), 0});
  machine_.OnInForce(kGeneration, At(10));
  machine_.OnCount({At(9), 0});
  EXPECT_EQ(machine_.remaining(), std::nullopt);
  EXPECT_EQ(machine_.Finished(At(100)), std::nullopt);
}

TEST_F(DrainMachineTest, OlderGenerationInForceIsNotEnough) {
  machine_.OnInForce(kGeneration - 1, At(10));
  machine_.OnCount({At(20), 0});
  EXPECT_EQ(machine_.Finished(At(100)), std::nullopt);
}

TEST_F(DrainMachineTest, LaterGenerationHoldsTheDrainToo) {
  machine_.OnInForce(kGeneration + 3, At(10));
  machine_.OnCount({At(20), 0});
  EXPECT_EQ(machine_.Finished(At(100)), "no flows remain");
}

TEST_F(DrainMachineTest, EndsWhenNoFlowRemains) {
  machine_.OnInForce(kGeneration, At(10));
  machine_.OnCount({At(20), 3});
  EXPECT_EQ(machine_.remaining(), 3U);
  EXPECT_EQ(machine_.Finished(At(100)), std::nullopt);
  machine_.OnCount({At(220), 0});
  EXPECT_EQ(machine_.Finished(At(221)), "no flows remain");
}

TEST_F(DrainMachineTest, EndsAtTheDeadlineWhateverRemains) {
  machine_.OnInForce(kGeneration, At(10));
  machine_.OnCount({At(20), 3});
  EXPECT_EQ(machine_.Finished(At(59'999)), std::nullopt);
  EXPECT_EQ(machine_.Finished(At(60'000)), "deadline passed");
}

TEST_F(DrainMachineTest, WithoutDataplaneItStaysUntilTheDeadline) {
  EXPECT_EQ(machine_.Finished(At(59'999)), std::nullopt);
  EXPECT_EQ(machine_.Finished(At(60'000)), "deadline passed");
}

TEST_F(DrainMachineTest, CountsOfALostDataplaneAreForgotten) {
  machine_.OnInForce(kGeneration, At(10));
  machine_.OnCount({At(20), 0});
  machine_.OnDisconnect(kGeneration + 1);
  EXPECT_EQ(machine_.remaining(), std::nullopt);
  EXPECT_EQ(machine_.Finished(At(100)), std::nullopt);
  machine_.OnInForce(kGeneration, At(200));  // what the next one had before is not enough
  machine_.OnCount({At(300), 0});
  EXPECT_EQ(machine_.Finished(At(301)), std::nullopt);
  machine_.OnInForce(kGeneration + 1, At(400));
  machine_.OnCount({At(500), 0});
  EXPECT_EQ(machine_.Finished(At(501)), "no flows remain");
}

TEST_F(DrainMachineTest, ServiceWithoutRecordsIsDrainedOnceInForce) {
  DrainMachine machine(kGeneration, At(60'000), Records::kNone);
  EXPECT_EQ(machine.Finished(At(1)), std::nullopt);
  machine.OnInForce(kGeneration, At(10));
  EXPECT_TRUE(machine.Finished(At(10)).has_value());
}

class AdaptiveDrainMachineTest : public DrainMachineTest {
 protected:
  AdaptiveDrainMachineTest() { machine_.OnInForce(kGeneration, At(10)); }
  DrainMachine machine_{kGeneration, start_ + milliseconds(60'000), Records::kOfSeenFlows};
};

TEST_F(AdaptiveDrainMachineTest, NoRecordIsNotNoFlowWhileSlotsShift) {
  EXPECT_TRUE(machine_.unseen());
  machine_.OnCount({At(20), 0, 5});
  EXPECT_EQ(machine_.remaining(), 0U);
  EXPECT_TRUE(machine_.unseen());
  EXPECT_EQ(machine_.Finished(At(100)), std::nullopt);
  machine_.OnCount({At(200), 0, 0});
  EXPECT_FALSE(machine_.unseen());
  EXPECT_EQ(machine_.Finished(At(201)), "no flows remain");
}

TEST_F(AdaptiveDrainMachineTest, RecordedFlowsOutliveTheShift) {
  machine_.OnCount({At(20), 3, 0});
  EXPECT_FALSE(machine_.unseen());
  EXPECT_EQ(machine_.Finished(At(100)), std::nullopt);
}

TEST_F(AdaptiveDrainMachineTest, TheDeadlineEndsTheShiftToo) {
  machine_.OnCount({At(20), 0, 5});
  EXPECT_EQ(machine_.Finished(At(60'000)), "deadline passed");
}

TEST_F(DrainMachineTest, WhoRecordsAllFlowsNeedNotWaitForTheShift) {
  machine_.OnInForce(kGeneration, At(10));
  machine_.OnCount({At(20), 0, 5});
  EXPECT_FALSE(machine_.unseen());
  EXPECT_EQ(machine_.Finished(At(21)), "no flows remain");
}

TEST_F(DrainMachineTest, ZeroTimeoutEndsAtOnce) {
  DrainMachine machine(kGeneration, start_, Records::kOfAllFlows);
  EXPECT_EQ(machine.Finished(start_), "deadline passed");
}

}  // namespace
}  // namespace fairlead
