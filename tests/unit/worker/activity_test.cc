#include "dataplane/worker/activity.h"

#include <array>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "dataplane/worker/worker.h"

namespace fairlead {
namespace {

class ActivityTest : public ::testing::Test {
 protected:
  uint64_t Idle(uint64_t started_tsc = 1000) const {
    return IdleCycles(started_tsc, workers_.size(),
                      [this](size_t i) -> const Activity& { return workers_[i]; });
  }

  std::array<Activity, 2> workers_;
};

TEST_F(ActivityTest, AWorkerThatHasNotPolledYetIsNotIdle) {
  EXPECT_EQ(Idle(), 0u);
  workers_[0].FoundNothing(5000);
  EXPECT_EQ(Idle(), 0u);  // the other is not running yet
  workers_[1].FoundNothing(4000);
  EXPECT_EQ(Idle(), 3000u);
}

// A worker that does not poll may have unread packets, however long that lasts.
TEST_F(ActivityTest, AWorkerThatDoesNotPollDoesNotBecomeIdle) {
  workers_[0].FoundNothing(2000);
  workers_[1].FoundNothing(2000);
  for (uint64_t now = 3000; now < 10'000; now += 1000) {
    workers_[0].FoundNothing(now);
    EXPECT_EQ(Idle(), 1000u);
  }
  workers_[1].Found(10'000);
  workers_[0].FoundNothing(20'000);
  EXPECT_EQ(Idle(), 0u);  // the worker still processes those packets
  workers_[1].FoundNothing(19'000);
  EXPECT_EQ(Idle(), 9000u);
}

TEST_F(ActivityTest, APacketOfAnyWorkerEndsTheIdleTime) {
  workers_[0].Found(3000);
  workers_[0].FoundNothing(8000);
  workers_[1].FoundNothing(7000);
  EXPECT_EQ(Idle(), 4000u);
  workers_[0].Found(7500);
  EXPECT_EQ(Idle(), 0u);
}

TEST_F(ActivityTest, CountsFromTheStartWhenThatIsLater) {
  for (Activity& worker : workers_) worker.FoundNothing(5000);
  EXPECT_EQ(Idle(4500), 500u);
  EXPECT_EQ(Idle(6000), 0u);  // another core's TSC may be a little ahead
}

TEST(LongestPauseTest, IsTheLongestOfThePastPausesAndTheCurrentOne) {
  Activity worker;
  EXPECT_EQ(worker.LongestPauseCycles(9000), 0u);  // the worker has not polled yet
  worker.Polls(1000);
  EXPECT_EQ(worker.LongestPauseCycles(1000), 0u);
  EXPECT_EQ(worker.LongestPauseCycles(1500), 500u);  // the pause lasts
  worker.Polls(2000);
  worker.Polls(2100);
  EXPECT_EQ(worker.LongestPauseCycles(2200), 1000u);
  EXPECT_EQ(worker.LongestPauseCycles(3300), 1200u);  // the pause lasts, and is the longest now
  worker.Polls(2200);
  EXPECT_EQ(worker.LongestPauseCycles(2200), 1000u);
  EXPECT_EQ(worker.LongestPauseCycles(2100), 1000u);  // another core's TSC may be a little behind
}

TEST(WorkerActivityTest, AWorkerReportsItsEmptyPolls) {
  WorkerShared shared;
  const std::unique_ptr<RcuState> rcu = RcuState::Create(1).value();
  shared.rcu = rcu.get();
  const std::unique_ptr<Worker> worker = Worker::Create(0, &shared).value();
  EXPECT_EQ(worker->activity().empty_tsc(), 0u);
  std::thread runs([&] { worker->Run(); });
  uint64_t seen = 0;
  for (int polls = 0; polls < 3; ++polls) {
    while (worker->activity().empty_tsc() == seen) std::this_thread::yield();
    EXPECT_GT(worker->activity().empty_tsc(), seen);
    seen = worker->activity().empty_tsc();
  }
  shared.stop.store(true);
  runs.join();
  EXPECT_EQ(worker->activity().packet_tsc(), 0u);
}

}  // namespace
}  // namespace fairlead
