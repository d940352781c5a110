#include "controlplane/observe/health/check_machine.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

bool Probe(CheckMachine* machine, bool passed) { return machine->Finish(machine->Begin(), passed); }

TEST(CheckMachine, FirstPassMakesAnInitialBackendHealthyAtOnce) {
  CheckMachine machine(/*rise=*/5, /*fall=*/3, HealthState::kInitial);
  EXPECT_TRUE(Probe(&machine, true));
  EXPECT_EQ(machine.state(), HealthState::kHealthy);
}

TEST(CheckMachine, InitialBackendIsUnhealthyAfterExactlyFallFailures) {
  CheckMachine machine(2, 3, HealthState::kInitial);
  EXPECT_FALSE(Probe(&machine, false));
  EXPECT_FALSE(Probe(&machine, false));
  EXPECT_EQ(machine.state(), HealthState::kInitial);
  EXPECT_TRUE(Probe(&machine, false));
  EXPECT_EQ(machine.state(), HealthState::kUnhealthy);
}

TEST(CheckMachine, FallAndRiseAreExactForEveryValue) {
  for (uint32_t threshold = 1; threshold <= 10; ++threshold) {
    CheckMachine machine(threshold, threshold, HealthState::kHealthy);
    for (uint32_t i = 1; i < threshold; ++i) EXPECT_FALSE(Probe(&machine, false)) << threshold;
    EXPECT_TRUE(Probe(&machine, false)) << threshold;
    EXPECT_EQ(machine.state(), HealthState::kUnhealthy);
    for (uint32_t i = 1; i < threshold; ++i) EXPECT_FALSE(Probe(&machine, true)) << threshold;
    EXPECT_TRUE(Probe(&machine, true)) << threshold;
    EXPECT_EQ(machine.state(), HealthState::kHealthy);
  }
}

TEST(CheckMachine, OnePassBetweenFailuresRestartsTheCount) {
  CheckMachine machine(2, 3, HealthState::kHealthy);
  Probe(&machine, false);
  Probe(&machine, false);
  Probe(&machine, true);
  EXPECT_FALSE(Probe(&machine, false));
  EXPECT_FALSE(Probe(&machine, false));
  EXPECT_TRUE(Probe(&machine, false));
}

TEST(CheckMachine, OneFailureBetweenPassesRestartsTheCount) {
  CheckMachine machine(3, 3, HealthState::kUnhealthy);
  Probe(&machine, true);
  Probe(&machine, true);
  Probe(&machine, false);
  EXPECT_FALSE(Probe(&machine, true));
  EXPECT_FALSE(Probe(&machine, true));
  EXPECT_TRUE(Probe(&machine, true));
}

TEST(CheckMachine, LateAnswerOfAnEarlierProbeIsIgnored) {
  CheckMachine machine(1, 1, HealthState::kUnhealthy);
  const uint64_t hung = machine.Begin();
  const uint64_t next = machine.Begin();
  EXPECT_FALSE(machine.Finish(hung, true));
  EXPECT_EQ(machine.state(), HealthState::kUnhealthy);
  EXPECT_TRUE(machine.Finish(next, true));
}

TEST(CheckMachine, SecondAnswerOfTheSameProbeIsIgnored) {
  CheckMachine machine(1, 1, HealthState::kHealthy);
  const uint64_t probe = machine.Begin();
  EXPECT_TRUE(machine.Finish(probe, false));
  EXPECT_FALSE(machine.Finish(probe, true));
  EXPECT_EQ(machine.state(), HealthState::kUnhealthy);
}

TEST(CheckMachine, StateOfAnEarlierProcessStaysUntilFallFailures) {
  CheckMachine machine(2, 2, HealthState::kHealthy);
  EXPECT_FALSE(Probe(&machine, false));
  EXPECT_EQ(machine.state(), HealthState::kHealthy);
  EXPECT_TRUE(Probe(&machine, false));
}

TEST(CheckMachine, TakesOverTheStateOfAnotherCheckOnlyWhileInitial) {
  CheckMachine machine(2, 2, HealthState::kInitial);
  machine.TakeUp(HealthState::kUnhealthy);
  EXPECT_EQ(machine.state(), HealthState::kUnhealthy);
  machine.TakeUp(HealthState::kHealthy);
  EXPECT_EQ(machine.state(), HealthState::kUnhealthy);
}

}  // namespace
}  // namespace fairlead
