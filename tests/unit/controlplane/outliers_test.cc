#include "controlplane/observe/outliers/outliers.h"

#include <map>

#include "controlplane/core/status_text.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

using std::chrono::seconds;

class OutliersTest : public CoreTest {
 protected:
  static constexpr const char* kBad = "10.0.0.3";

  void SetUp() override {
    CoreTest::SetUp();
    Configure("eject");
  }
  void Open() override {
    CoreTest::Open();
    outliers_ = std::make_unique<OutlierController>(context_->get_executor(), board_.get(), &clock_,
                                                    [this] { ++ends_; });
    outliers_->Reconcile(View());
  }
  void Close() override {
    outliers_.reset();
    CoreTest::Close();
  }

  static std::string Address(int n) { return "10.0.0." + std::to_string(n); }
  void Configure(const std::string& outlier) {
    ServiceSpec web = ParseServiceSpec(R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
        "backends": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]})");
    web.outlier = outlier == "eject"     ? OutlierPolicy::kEject
                  : outlier == "observe" ? OutlierPolicy::kObserve
                                         : OutlierPolicy::kOff;
    const bool is_new = View()->Find("web") == nullptr;
    ASSERT_TRUE(Apply(is_new ? AddService(web) : ReplaceService(web)).ok());
    for (int n = 1; is_new && n <= 5; ++n) SetHealth("web", Address(n), HealthState::kHealthy);
    outliers_->Reconcile(View());
  }
  // One second: 10 handshakes of each backend end. Those of the bad one are not answered.
  void Second(bool bad = true) {
    clock_.Advance(seconds(1));
    DataplaneStats stats;
    for (int n = 1; n <= 5; ++n) {
      const BackendIntent* backend = Backend("web", Address(n));
      if (backend == nullptr) continue;
      BackendStats& counts = counts_[n];
      counts.id = backend->id;
      if (!StatusOf("web", Address(n)).outlier.is_ejected()) {
        counts.handshakes_sampled += 10;
        if (bad && Address(n) == kBad) counts.handshakes_unanswered += 10;
      }
      stats.backends.push_back(counts);
    }
    outliers_->OnStats(stats, clock_.Steady());
    outliers_->Reconcile(View());
  }
  void Seconds(int count, bool bad = true) {
    for (int n = 0; n < count; ++n) Second(bad);
  }
  const OutlierStatus& Outlier() { return StatusOf("web", kBad).outlier; }

  std::map<int, BackendStats> counts_;
  std::unique_ptr<OutlierController> outliers_;
  int ends_ = 0;
};

TEST_F(OutliersTest, AnEjectedBackendKeepsItsFlowsAndGetsNoNewOnes) {
  EXPECT_EQ(PublishedState("web", kBad), BackendState::kActive);
  Seconds(4);
  EXPECT_TRUE(Outlier().is_ejected());
  EXPECT_EQ(OutlierText(Outlier()),
            "ejected for 30 s: 100 % of 30 sampled handshakes unanswered, median of the service "
            "0 %");
  EXPECT_EQ(Outlier().since_ms, clock_.WallMs());
  EXPECT_EQ(PublishedState("web", kBad), BackendState::kDraining);
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kActive);
  Seconds(29);
  EXPECT_EQ(PublishedState("web", kBad), BackendState::kDraining);
  Seconds(1);
  EXPECT_EQ(Outlier(), OutlierStatus());
  EXPECT_EQ(PublishedState("web", kBad), BackendState::kActive);
}

TEST_F(OutliersTest, OnlyShowsOutliersIfItObserves) {
  Configure("observe");
  Seconds(5);
  EXPECT_TRUE(Outlier().is_outlier);
  EXPECT_FALSE(Outlier().is_ejected());
  EXPECT_EQ(OutlierText(Outlier()),
            "100 % of 30 sampled handshakes unanswered, median of the service 0 %");
  EXPECT_EQ(PublishedState("web", kBad), BackendState::kActive);
}

TEST_F(OutliersTest, DoesNothingIfTheServiceDoesNotAsk) {
  Configure("off");
  Seconds(20);
  EXPECT_EQ(Outlier(), OutlierStatus());
}

TEST_F(OutliersTest, EndsAnEjectionWhenTheServiceAsksNoMore) {
  for (const char* policy : {"observe", "off"}) {
    SCOPED_TRACE(policy);
    Configure("eject");
    Seconds(10);
    ASSERT_TRUE(Outlier().is_ejected());
    Configure(policy);
    EXPECT_FALSE(Outlier().is_ejected());
    EXPECT_EQ(PublishedState("web", kBad), BackendState::kActive);
    Seconds(15, false);
  }
}

// No statistics come, so the timer ends it.
TEST_F(OutliersTest, EndsAnEjectionWithoutADataplane) {
  Seconds(4);
  ASSERT_TRUE(Outlier().is_ejected());
  clock_.Advance(seconds(31));
  outliers_->Reconcile(View());
  EXPECT_FALSE(Outlier().is_ejected());
}

TEST_F(OutliersTest, TakesTheBackendBackWhenTheOthersFail) {
  Seconds(4);
  ASSERT_TRUE(Outlier().is_ejected());
  for (const int n : {1, 2, 4}) SetHealth("web", Address(n), HealthState::kUnhealthy);
  outliers_->Reconcile(View());
  EXPECT_TRUE(Outlier().is_ejected());
  SetHealth("web", "10.0.0.5", HealthState::kUnhealthy);
  outliers_->Reconcile(View());
  EXPECT_FALSE(Outlier().is_ejected());
  EXPECT_EQ(PublishedState("web", kBad), BackendState::kActive);
}

TEST_F(OutliersTest, NeverEjectsTheLastBackend) {
  for (const int n : {1, 2, 4, 5}) SetHealth("web", Address(n), HealthState::kUnhealthy);
  Seconds(10);
  EXPECT_TRUE(Outlier().is_outlier);
  EXPECT_FALSE(Outlier().is_ejected());
}

TEST_F(OutliersTest, ADeletedBackendOrServiceEndsItsEjection) {
  Seconds(4);
  ASSERT_TRUE(Outlier().is_ejected());
  ASSERT_TRUE(Apply(RemoveBackend("web", ParseEndpoint(kBad))).ok());
  outliers_->Reconcile(View());
  BackendSpec again;
  again.endpoint = ParseEndpoint(kBad);
  ASSERT_TRUE(Apply(AddBackends("web", {again})).ok());
  SetHealth("web", kBad, HealthState::kHealthy);
  outliers_->Reconcile(View());
  EXPECT_FALSE(Outlier().is_outlier);
  counts_.erase(3);
  Seconds(5);
  EXPECT_EQ(Outlier().ejected_for, seconds(30));
  ASSERT_TRUE(Apply(RemoveService("web")).ok());
  outliers_->Reconcile(View());
  outliers_->OnStats({}, clock_.Steady());
  Configure("eject");
  EXPECT_FALSE(Outlier().is_outlier);
}

// Counts of another dataplane say nothing about the time between.
TEST_F(OutliersTest, ForgetsCountsWhenAnotherDataplaneConnects) {
  Seconds(3);
  counts_.clear();
  board_->SetDataplane({.connected = true, .session = 2, .own_addresses = {}});
  outliers_->Reconcile(View());
  counts_[3].handshakes_sampled = counts_[3].handshakes_unanswered = 5000;
  Second();
  EXPECT_FALSE(Outlier().is_outlier);
}

TEST_F(OutliersTest, DoesNotChangeTheBoardEverySecond) {
  Seconds(4);
  const uint64_t before = board_->next_change();
  Seconds(20);
  EXPECT_EQ(board_->next_change(), before);
}

}  // namespace
}  // namespace fairlead
