#include "dataplane/manage/watchdog.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class WorkerWatchdogTest : public ::testing::Test {
 protected:
  WorkerWatchdog::Environment Environment() {
    WorkerWatchdog::Environment environment;
    environment.timeout = milliseconds(5000);
    environment.worker_count = marks_.size();
    environment.loop_mark = [this](size_t worker) { return marks_[worker]; };
    environment.feed = [this] { fed_at_ms_.push_back((now_ - start_).count()); };
    environment.warn = [this](const std::string& why) { warnings_.push_back(why); };
    return environment;
  }
  // Calls Step as the management loop does, until `end`. The workers in `running` move each time.
  void RunUntil(milliseconds end, const std::vector<size_t>& running) {
    while (now_ - start_ < end) {
      for (const size_t worker : running) ++marks_[worker];
      const int wait_ms = watchdog_.Step(Point(now_));
      ASSERT_GT(wait_ms, 0);
      ASSERT_LE(wait_ms, 1000);
      now_ += milliseconds(wait_ms);
    }
  }
  static WorkerWatchdog::Clock::time_point Point(milliseconds time) {
    return WorkerWatchdog::Clock::time_point(time);
  }

  std::vector<uint64_t> marks_ = {0, 0};
  const milliseconds start_{1'000'000};
  milliseconds now_ = start_;
  std::vector<int64_t> fed_at_ms_;
  std::vector<std::string> warnings_;
  WorkerWatchdog watchdog_{Environment(), Point(start_)};
};

TEST_F(WorkerWatchdogTest, FeedsAtHalfTheTimeoutWhileAllWorkersMove) {
  RunUntil(milliseconds(10'001), {0, 1});
  EXPECT_THAT(fed_at_ms_, ElementsAre(2500, 5000, 7500, 10'000));
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(WorkerWatchdogTest, CeasesWhenOneWorkerStandsStillAndNamesItOnce) {
  RunUntil(milliseconds(4000), {0, 1});
  RunUntil(milliseconds(30'000), {0});
  // Worker 1 moved after the first feed, so there is a second one.
  EXPECT_THAT(fed_at_ms_, ElementsAre(2500, 5000));
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_THAT(warnings_[0], HasSubstr("worker 1 has not polled its ports for 3750 ms"));
}

TEST_F(WorkerWatchdogTest, DoesNotFeedBeforeEveryWorkerHasBegun) {
  RunUntil(milliseconds(20'000), {1});
  EXPECT_TRUE(fed_at_ms_.empty());
}

// A worker without a CPU for a moment must not cost a whole period.
TEST_F(WorkerWatchdogTest, FeedsSoonAfterALateWorkerMoves) {
  RunUntil(milliseconds(2400), {0});
  RunUntil(milliseconds(3000), {0});
  ASSERT_TRUE(fed_at_ms_.empty());
  RunUntil(milliseconds(3100), {0, 1});
  ASSERT_EQ(fed_at_ms_.size(), 1U);
  EXPECT_LE(fed_at_ms_[0], 3050);
}

}  // namespace
}  // namespace fairlead
