#include "controlplane/observe/outliers/outlier_detector.h"

#include <random>

#include <gmock/gmock.h>

namespace fairlead {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

// A service of which the test says how many handshakes each backend ends in a second.
class OutlierDetectorTest : public testing::Test {
 protected:
  // Ids count up from 1.
  void Have(size_t count) {
    for (uint32_t id = 1; id <= count; ++id) {
      backends_.push_back({.backend_id = id, .takes_new_flows = true, .is_counted = true});
    }
  }
  OutlierInput& Backend(uint32_t id) { return backends_[id - 1]; }
  void Count(uint32_t id, uint64_t sampled, uint64_t unanswered) {
    Backend(id).sampled += sampled;
    Backend(id).unanswered += unanswered;
  }
  std::vector<OutlierDetector::Change> Ask() {
    std::vector<OutlierDetector::Change> changes =
        detector_.OnCounts(now_, policy_, backends_, keep_);
    for (const auto& change : changes) {
      if (change.status.is_ejected()) {
        ejected_.push_back(change.backend_id);
      } else {
        std::erase(ejected_, change.backend_id);
      }
    }
    std::ranges::sort(ejected_);
    return changes;
  }
  // One second, in which every backend in `bad` ends 10 handshakes, all unanswered, and each other
  // one 10, all answered. An ejected backend gets no new flows.
  std::vector<OutlierDetector::Change> Second(const std::vector<uint32_t>& bad = {}) {
    now_ += seconds(1);
    for (const OutlierInput& each : backends_) {
      if (std::ranges::find(ejected_, each.backend_id) != ejected_.end()) continue;
      const bool is_bad = std::ranges::find(bad, each.backend_id) != bad.end();
      Count(each.backend_id, 10, is_bad ? 10 : 0);
    }
    return Ask();
  }
  // Returns after how many seconds something changed; 0: nothing did.
  int SecondsUntilChange(int most, const std::vector<uint32_t>& bad = {}) {
    for (int second = 1; second <= most; ++second) {
      if (!Second(bad).empty()) return second;
    }
    return 0;
  }

  SteadyTime now_ = SteadyTime(std::chrono::hours(1));
  OutlierPolicy policy_ = OutlierPolicy::kEject;
  size_t keep_ = 0;
  std::vector<OutlierInput> backends_;
  std::vector<uint32_t> ejected_;
  OutlierDetector detector_;
};

TEST_F(OutlierDetectorTest, EjectsABackendThatAnswersNothingFor30Seconds) {
  Have(5);
  Ask();
  EXPECT_THAT(Second({3}), IsEmpty());
  EXPECT_THAT(Second({3}), IsEmpty());
  const auto changes = Second({3});
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].backend_id, 3U);
  EXPECT_EQ(changes[0].status, (OutlierStatus{.is_outlier = true,
                                              .ejected_for = seconds(30),
                                              .sampled = 30,
                                              .unanswered_percent = 100,
                                              .median_percent = 0}));
  EXPECT_EQ(detector_.next_end(), now_ + seconds(30));
  EXPECT_EQ(SecondsUntilChange(60), 30);
  EXPECT_THAT(ejected_, IsEmpty());
  EXPECT_EQ(detector_.next_end(), std::nullopt);
  EXPECT_EQ(SecondsUntilChange(60), 0) << "it answers again";
}

TEST_F(OutlierDetectorTest, NeedsThirtySamplesWithinTenSeconds) {
  Have(3);
  Ask();
  for (int second = 0; second < 60; ++second) {
    now_ += seconds(1);
    if (second % 10 == 0) {  // 29 in 10 s
      Count(1, 29, 29);
      Count(2, 29, 0);
      Count(3, 29, 0);
    }
    EXPECT_THAT(Ask(), IsEmpty()) << second;
  }
  now_ += seconds(1);
  Count(1, 30, 30);
  Count(2, 30, 0);
  Count(3, 30, 0);
  Ask();
  EXPECT_THAT(ejected_, ElementsAre(1));
}

TEST_F(OutlierDetectorTest, NeedsMoreThanHalfUnanswered) {
  Have(3);
  Ask();
  now_ += seconds(1);
  Count(1, 100, 50);
  Count(2, 100, 2);
  Count(3, 100, 2);
  EXPECT_THAT(Ask(), IsEmpty());
  now_ += seconds(1);
  Count(1, 2, 2);
  const auto changes = Ask();
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].status.sampled, 102U);
  EXPECT_EQ(changes[0].status.unanswered_percent, 51U);
  EXPECT_EQ(changes[0].status.median_percent, 2U);
}

TEST_F(OutlierDetectorTest, NeedsThreeTimesTheMedian) {
  for (const uint64_t median : {uint64_t{19}, uint64_t{20}, uint64_t{21}}) {
    detector_ = {};
    backends_.clear();
    ejected_.clear();
    Have(5);
    Ask();
    now_ += seconds(1);
    Count(1, 100, 60);
    for (const uint32_t id : {2U, 3U, 4U}) Count(id, 100, median);
    Count(5, 100, 0);
    Ask();
    EXPECT_EQ(ejected_.size(), median <= 20 ? 1U : 0U) << median;
  }
}

// The median of two is the lower one: one of two backends can be an outlier.
TEST_F(OutlierDetectorTest, ComparesTwoBackendsButNotOne) {
  Have(1);
  Ask();
  EXPECT_EQ(SecondsUntilChange(30, {1}), 0);
  Have(1);
  Backend(2).backend_id = 2;
  EXPECT_EQ(SecondsUntilChange(30, {1}), 2);  // the other has a first count after 1 s
  EXPECT_THAT(ejected_, ElementsAre(1));
}

TEST_F(OutlierDetectorTest, FindsNoOutlierWhereMostBackendsFail) {
  Have(5);
  Ask();
  EXPECT_EQ(SecondsUntilChange(30, {1, 2, 3}), 0);
}

TEST_F(OutlierDetectorTest, EjectsOneBackendOrATenth) {
  for (const auto& [count, most] : {std::pair<size_t, size_t>{5, 1}, {19, 1}, {20, 2}, {40, 4}}) {
    detector_ = {};
    backends_.clear();
    ejected_.clear();
    Have(count);
    Ask();
    std::vector<uint32_t> bad;
    for (uint32_t id = 1; id <= count * 2 / 5; ++id) bad.push_back(id);
    for (int second = 0; second < 20; ++second) {
      Second(bad);
      EXPECT_LE(ejected_.size(), most);
    }
    EXPECT_EQ(ejected_.size(), most) << count;
  }
}

// The others are shown as outliers meanwhile, and are ejected when a place is free.
TEST_F(OutlierDetectorTest, EjectsTheWorstFirstAndTheNextWhenItIsBack) {
  Have(5);
  Ask();
  now_ += seconds(1);
  Count(1, 100, 70);
  Count(2, 100, 90);
  for (const uint32_t id : {3U, 4U, 5U}) Count(id, 100, 0);
  const auto changes = Ask();
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].backend_id, 2U);
  EXPECT_TRUE(changes[0].status.is_ejected());
  EXPECT_EQ(changes[1].backend_id, 1U);
  EXPECT_FALSE(changes[1].status.is_ejected());
  EXPECT_TRUE(changes[1].status.is_outlier);
  EXPECT_EQ(SecondsUntilChange(60, {1}), 30);
  EXPECT_THAT(ejected_, ElementsAre(1));
}

TEST_F(OutlierDetectorTest, DoublesTheTimeUpToTenMinutes) {
  Have(5);
  Ask();
  for (const int expected : {30, 60, 120, 240, 480, 600, 600}) {
    ASSERT_NE(SecondsUntilChange(10, {4}), 0);
    ASSERT_THAT(ejected_, ElementsAre(4));
    EXPECT_EQ(SecondsUntilChange(1000), expected);
    ASSERT_THAT(ejected_, IsEmpty());
  }
  // After ten good minutes it starts at 30 s again.
  EXPECT_EQ(SecondsUntilChange(600), 0);
  ASSERT_NE(SecondsUntilChange(10, {4}), 0);
  EXPECT_EQ(SecondsUntilChange(1000), 30);
}

TEST_F(OutlierDetectorTest, JudgesABackendThatIsBackByNewHandshakesOnly) {
  Have(5);
  Ask();
  ASSERT_NE(SecondsUntilChange(10, {4}), 0);
  // The last of its handshakes end while it is ejected.
  for (int second = 0; second < 30; ++second) {
    Count(4, 20, 20);
    Second();
  }
  ASSERT_THAT(ejected_, IsEmpty());
  EXPECT_EQ(SecondsUntilChange(2, {4}), 0);
  EXPECT_NE(SecondsUntilChange(3, {4}), 0);
}

TEST_F(OutlierDetectorTest, KeepsOneBackendOrWhatTheServiceNeeds) {
  Have(3);
  Ask();
  Backend(2).takes_new_flows = false;
  Backend(3).takes_new_flows = false;
  for (int second = 0; second < 20; ++second) Second({1});
  EXPECT_THAT(ejected_, IsEmpty()) << "it is the only one";
  Backend(2).takes_new_flows = true;
  keep_ = 2;
  for (int second = 0; second < 20; ++second) Second({1});
  EXPECT_THAT(ejected_, IsEmpty()) << "two must stay";
  Backend(3).takes_new_flows = true;
  Second({1});
  EXPECT_THAT(ejected_, ElementsAre(1));
}

// A backend that answers few clients is better than none.
TEST_F(OutlierDetectorTest, TakesABackendBackWhenTooFewOthersAreLeft) {
  Have(3);
  Ask();
  ASSERT_NE(SecondsUntilChange(10, {1}), 0);
  Backend(2).takes_new_flows = false;
  EXPECT_THAT(detector_.Update(now_, policy_, backends_, keep_), IsEmpty());
  Backend(3).takes_new_flows = false;
  const auto changes = detector_.Update(now_, policy_, backends_, keep_);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].backend_id, 1U);
  EXPECT_FALSE(changes[0].status.is_outlier);
  EXPECT_EQ(detector_.next_end(), std::nullopt);
}

TEST_F(OutlierDetectorTest, ShowsButEjectsNothingIfItOnlyObserves) {
  policy_ = OutlierPolicy::kObserve;
  Have(5);
  Ask();
  ASSERT_EQ(SecondsUntilChange(10, {3}), 3);
  EXPECT_THAT(ejected_, IsEmpty());
  EXPECT_EQ(SecondsUntilChange(30, {3}), 0) << "it is told once";
  EXPECT_EQ(detector_.next_end(), std::nullopt);
  // It is none any more when its share has been good for 10 s.
  const int until_good = SecondsUntilChange(60);
  EXPECT_GE(until_good, 10);
  EXPECT_LE(until_good, 20);
}

TEST_F(OutlierDetectorTest, EndsEjectionsWhenItOnlyObserves) {
  Have(5);
  Ask();
  ASSERT_NE(SecondsUntilChange(10, {3}), 0);
  const auto changes = detector_.Update(now_, OutlierPolicy::kObserve, backends_);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_FALSE(changes[0].status.is_ejected());
}

TEST_F(OutlierDetectorTest, BeginsAnewWhenTheDataplaneDoes) {
  Have(3);
  for (OutlierInput& each : backends_) each.sampled = 1000;
  Ask();
  Second({1});
  Second({1});
  for (OutlierInput& each : backends_) each.sampled = each.unanswered = 0;
  now_ += seconds(1);
  Ask();
  EXPECT_EQ(SecondsUntilChange(10, {1}), 3) << "it needs 30 new samples";
  // A backend that the dataplane does not have yet has no counts, not a count of 0.
  detector_ = {};
  ejected_.clear();
  Backend(1).is_counted = false;
  Ask();
  Backend(1).is_counted = true;
  Backend(1).sampled = Backend(1).unanswered = 5000;
  EXPECT_THAT(Second(), IsEmpty());
}

TEST_F(OutlierDetectorTest, ForgetsDeletedBackends) {
  Have(5);
  Ask();
  ASSERT_NE(SecondsUntilChange(10, {5}), 0);
  backends_.pop_back();
  Second();
  EXPECT_EQ(detector_.next_end(), std::nullopt);
}

// A flood from forged addresses: all backends get the same share of it, and none is answered. Real
// clients are answered. Whatever part of the handshakes is the flood's, nobody is ejected: the
// median is as high as any backend's share.
TEST_F(OutlierDetectorTest, EjectsNobodyInASynFloodFromForgedAddresses) {
  std::mt19937 random(8);
  for (const double flood : {0.3, 0.5, 0.6, 0.8, 0.95, 1.0}) {
    SCOPED_TRACE(flood);
    detector_ = {};
    backends_.clear();
    Have(100);
    Ask();
    for (int second = 0; second < 300; ++second) {
      // It swells and ends.
      const double part = second < 100 ? flood * second / 100 : second < 200 ? flood : 0;
      std::bernoulli_distribution is_forged(part);
      for (OutlierInput& each : backends_) {
        uint64_t unanswered = 0;
        for (int n = 0; n < 4; ++n) unanswered += is_forged(random) ? 1 : 0;
        Count(each.backend_id, 4, unanswered);
      }
      now_ += seconds(1);
      ASSERT_THAT(Ask(), IsEmpty()) << second;
    }
  }
}

// A backend that fails during such a flood is found as soon as the flood ends.
TEST_F(OutlierDetectorTest, FindsAnOutlierAfterTheFlood) {
  Have(5);
  Ask();
  for (int second = 0; second < 30; ++second) {
    for (const OutlierInput& each : std::vector(backends_)) Count(each.backend_id, 90, 90);
    Second({3});
  }
  EXPECT_THAT(ejected_, IsEmpty());
  EXPECT_NE(SecondsUntilChange(12, {3}), 0);
  EXPECT_THAT(ejected_, ElementsAre(3));
}

}  // namespace
}  // namespace fairlead
