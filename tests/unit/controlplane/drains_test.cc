#include "controlplane/observe/drain/drains.h"

#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using std::chrono::milliseconds;

class DrainsTest : public testing::Test {
 protected:
  void SetUp() override {
    Open();
    ASSERT_TRUE(registry_
                    ->AddService(ParseServiceSpec(
                        R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
                            "drain_timeout": "300s", "backends": ["10.0.0.1", "10.0.0.2"]})"))
                    .ok());
  }

  // As after a start of the process.
  void Open() {
    drains_.reset();
    registry_.reset();
    store_.reset();
    store_ = *Store::Open(directory_.File("store.db"));
    registry_ = std::make_unique<Registry>(store_.get(), &clock_);
    ASSERT_TRUE(registry_->Load().ok());
    drains_ = std::make_unique<Drains>(registry_.get(), &clock_);
    drains_->Sync();
  }

  BackendRuntime* Backend(const std::string& endpoint = "10.0.0.1") {
    return registry_->FindRuntime("web", ParseEndpoint(endpoint));
  }
  void Start(std::optional<uint32_t> timeout_ms) {
    const Result<uint64_t> generation = drains_->Start(Backend(), timeout_ms);
    ASSERT_TRUE(generation.ok()) << generation.status().message();
  }
  // Statistics asked for now, swept at this moment.
  void Count(uint64_t flows, uint64_t swept_ms_ago = 0, uint64_t shifting_slots = 0) {
    DataplaneStats stats;
    stats.flows.swept_at_ms_ago = swept_ms_ago;
    stats.backends.push_back(
        {.id = Backend()->id, .flows = flows, .shifting_slots = shifting_slots});
    drains_->OnStats(stats, clock_.Steady());
  }
  void Confirm() { drains_->OnInForce(registry_->generation()); }

  TempDir directory_;
  FakeClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Drains> drains_;
};

TEST_F(DrainsTest, TakesTheServicesTimeoutWhenNoneIsGiven) {
  Start(std::nullopt);
  EXPECT_EQ(Backend()->drain->deadline_ms - Backend()->drain->started_ms, 300'000);
}

TEST_F(DrainsTest, CountsDownToDrained) {
  Start(60'000);
  Confirm();
  clock_.Advance(milliseconds(200));
  Count(2);
  drains_->Tick();
  EXPECT_EQ(drains_->Remaining(*Backend()), 2U);
  EXPECT_FALSE(Backend()->drain->finished());
  clock_.Advance(milliseconds(200));
  Count(0);
  drains_->Tick();
  EXPECT_TRUE(Backend()->drain->finished());
  EXPECT_EQ(Backend()->drain->reason, "no flows remain");
  EXPECT_EQ(drains_->Remaining(*Backend()), 0U);
  EXPECT_FALSE(drains_->any_running());
}

// A TCP service tracks adaptively unless told otherwise.
TEST_F(DrainsTest, SaysUntilWhenFlowsMayLiveThatItHasNotSeen) {
  Start(600'000);
  Confirm();
  clock_.Advance(milliseconds(200));
  Count(0, 0, /*shifting_slots=*/7);
  drains_->Tick();
  EXPECT_FALSE(Backend()->drain->finished());
  EXPECT_EQ(drains_->UnseenUntilMs(*Backend()), Backend()->drain->started_ms + 350'000);
  Count(0, 0, 0);
  EXPECT_EQ(drains_->UnseenUntilMs(*Backend()), std::nullopt);
  drains_->Tick();
  EXPECT_EQ(Backend()->drain->reason, "no flows remain");
}

TEST_F(DrainsTest, DoesNotWaitForSlotsWhereEveryFlowIsRecorded) {
  ServiceSpec service = **registry_->FindService("web");
  service.tracking = Tracking::kAll;
  ASSERT_TRUE(registry_->ReplaceService(service).ok());
  Start(600'000);
  Confirm();
  clock_.Advance(milliseconds(200));
  Count(0, 0, /*shifting_slots=*/7);
  EXPECT_EQ(drains_->UnseenUntilMs(*Backend()), std::nullopt);
  drains_->Tick();
  EXPECT_EQ(Backend()->drain->reason, "no flows remain");
}

TEST_F(DrainsTest, StaleSweepDoesNotEndIt) {
  Start(60'000);
  clock_.Advance(milliseconds(100));
  Confirm();
  clock_.Advance(milliseconds(50));
  Count(0, /*swept_ms_ago=*/50);  // rounded down: may have been before the confirmation
  drains_->Tick();
  EXPECT_FALSE(Backend()->drain->finished());
  EXPECT_EQ(drains_->Remaining(*Backend()), std::nullopt);
  Count(0, /*swept_ms_ago=*/49);
  drains_->Tick();
  EXPECT_TRUE(Backend()->drain->finished());
}

TEST_F(DrainsTest, DeadlineReleasesWhatRemains) {
  Start(1000);
  Confirm();
  clock_.Advance(milliseconds(999));
  Count(5);
  drains_->Tick();
  EXPECT_FALSE(Backend()->drain->finished());
  clock_.Advance(milliseconds(1));
  drains_->Tick();
  EXPECT_EQ(Backend()->drain->reason, "deadline passed");
  EXPECT_EQ(Backend()->drain->finished_ms, clock_.WallMs());
}

TEST_F(DrainsTest, DeadlineLeavesWhatRemainsWhereTheServiceSaysSo) {
  for (const FlowPolicy policy : {FlowPolicy::kKeep, FlowPolicy::kRelease}) {
    ServiceSpec service = **registry_->FindService("web");
    service.on_deadline = policy;
    service.health_check.type = HealthCheckType::kNone;
    ASSERT_TRUE(registry_->ReplaceService(service).ok());
    Start(1000);
    clock_.Advance(milliseconds(1000));
    drains_->Tick();
    ASSERT_TRUE(Backend()->drain->finished());
    const bool keeps = policy == FlowPolicy::kKeep;
    EXPECT_EQ(Backend()->drain->reason,
              keeps ? "deadline passed; flows that remain are kept" : "deadline passed");
    const SnapshotInput input = registry_->Derive(registry_->generation());
    EXPECT_EQ(input.services[0].backends[0].state,
              keeps ? BackendState::kDraining : BackendState::kDown);
    ASSERT_TRUE(drains_->Undrain(Backend()).ok());
  }
}

TEST_F(DrainsTest, DeadlinePassesWhileTheProcessIsDown) {
  Start(10'000);
  clock_.Advance(milliseconds(20'000));
  Open();
  EXPECT_TRUE(drains_->any_running());
  drains_->Tick();
  EXPECT_EQ(Backend()->drain->reason, "deadline passed");
}

TEST_F(DrainsTest, RunningDrainGoesOnAfterARestart) {
  Start(10'000);
  const int64_t deadline_ms = Backend()->drain->deadline_ms;
  clock_.Advance(milliseconds(4000));
  Open();
  EXPECT_EQ(Backend()->drain->deadline_ms, deadline_ms);
  drains_->Tick();
  EXPECT_FALSE(Backend()->drain->finished());
  Count(0);  // nothing has confirmed the drain to this process yet
  drains_->Tick();
  EXPECT_FALSE(Backend()->drain->finished());
  clock_.Advance(milliseconds(6000));
  drains_->Tick();
  EXPECT_TRUE(Backend()->drain->finished());
}

TEST_F(DrainsTest, SecondStartMovesTheDeadlineButNotTheStart) {
  Start(10'000);
  const int64_t started_ms = Backend()->drain->started_ms;
  clock_.Advance(milliseconds(5000));
  Start(20'000);
  EXPECT_EQ(Backend()->drain->started_ms, started_ms);
  EXPECT_EQ(Backend()->drain->deadline_ms, started_ms + 20'000);
  clock_.Advance(milliseconds(14'999));
  drains_->Tick();
  EXPECT_FALSE(Backend()->drain->finished());
  clock_.Advance(milliseconds(1));
  drains_->Tick();
  EXPECT_TRUE(Backend()->drain->finished());
}

TEST_F(DrainsTest, SecondStartWithoutATimeoutChangesNothing) {
  Start(10'000);
  const DrainRecord drain = *Backend()->drain;
  const uint64_t generation = registry_->generation();
  Start(std::nullopt);
  EXPECT_EQ(Backend()->drain, drain);
  EXPECT_EQ(registry_->generation(), generation);
}

TEST_F(DrainsTest, DrainedStaysDrainedUntilUndrained) {
  Start(0);
  drains_->Tick();
  ASSERT_TRUE(Backend()->drain->finished());
  Start(60'000);
  EXPECT_TRUE(Backend()->drain->finished());
  Open();
  EXPECT_TRUE(Backend()->drain->finished());
  ASSERT_TRUE(drains_->Undrain(Backend()).ok());
  EXPECT_EQ(Backend()->drain, std::nullopt);
  EXPECT_EQ(drains_->Undrain(Backend()).status().code(), ErrorCode::kNotFound);
}

TEST_F(DrainsTest, UndrainForgetsCountsOfTheEarlierDrain) {
  Start(60'000);
  Confirm();
  clock_.Advance(milliseconds(10));
  Count(0);
  ASSERT_TRUE(drains_->Undrain(Backend()).ok());
  Start(60'000);
  drains_->Tick();
  EXPECT_FALSE(Backend()->drain->finished());
  EXPECT_EQ(drains_->Remaining(*Backend()), std::nullopt);
}

TEST_F(DrainsTest, RemovedBackendsDrainIsForgotten) {
  Start(60'000);
  ASSERT_TRUE(registry_->RemoveBackend("web", ParseEndpoint("10.0.0.1")).ok());
  drains_->Sync();
  EXPECT_FALSE(drains_->any_running());
}

TEST_F(DrainsTest, SeveralDrainsRunAtOnce) {
  Start(60'000);
  ASSERT_TRUE(drains_->Start(Backend("10.0.0.2"), 1000).ok());
  clock_.Advance(milliseconds(1000));
  drains_->Tick();
  EXPECT_TRUE(Backend("10.0.0.2")->drain->finished());
  EXPECT_FALSE(Backend("10.0.0.1")->drain->finished());
  EXPECT_TRUE(drains_->any_running());
}

}  // namespace
}  // namespace fairlead
