#include "controlplane/observe/drain/drains.h"

#include "controlplane/core/status_text.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

using std::chrono::milliseconds;

class DrainsTest : public CoreTest {
 protected:
  void SetUp() override {
    CoreTest::SetUp();
    ASSERT_TRUE(Apply(AddService(ParseServiceSpec(
                          R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
                              "drain_timeout": "300s", "backends": ["10.0.0.1", "10.0.0.2"]})")))
                    .ok());
  }
  void Open() override {
    CoreTest::Open();
    drains_ =
        std::make_unique<DrainController>(context_->get_executor(), board_.get(), &clock_, [] {});
    drains_->Reconcile(View());
  }
  void Close() override {
    drains_.reset();
    CoreTest::Close();
  }

  const BackendIntent* TheBackend(const std::string& endpoint = "10.0.0.1") {
    return Backend("web", endpoint);
  }
  const std::optional<DrainIntent>& Drain() { return TheBackend()->drain; }
  const DrainProgress& Progress(const std::string& endpoint = "10.0.0.1") {
    return StatusOf("web", endpoint).drain;
  }
  void Start(std::optional<uint32_t> timeout_ms, const std::string& endpoint = "10.0.0.1") {
    const Result<Committed> applied =
        Apply(DrainBackend("web", ParseEndpoint(endpoint), timeout_ms));
    ASSERT_TRUE(applied.ok()) << applied.status().message();
    drains_->Reconcile(View());
  }
  Status Undrain() {
    const Result<Committed> applied = Apply(UndrainBackend("web", ParseEndpoint("10.0.0.1")));
    drains_->Reconcile(View());
    return applied.status();
  }
  void Tick() { drains_->Reconcile(View()); }
  // Delivers statistics that were requested now and swept `swept_ms_ago` earlier.
  void Count(uint64_t flows, uint64_t swept_ms_ago = 0, uint64_t shifting_slots = 0) {
    DataplaneStats stats;
    stats.flows.swept_at_ms_ago = swept_ms_ago;
    stats.backends.push_back(
        {.id = TheBackend()->id, .flows = flows, .shifting_slots = shifting_slots});
    drains_->OnStats(stats, clock_.Steady());
  }
  void Confirm() {
    board_->SetDataplane({.connected = true,
                          .session = 1,
                          .in_force_generation = generations_.current(),
                          .in_force_revision = View()->revision,
                          .own_addresses = {}});
    drains_->Reconcile(View());
  }
  std::string EndText(const std::string& endpoint = "10.0.0.1") {
    return DrainEndText(Progress(endpoint));
  }
  std::optional<int64_t> UnseenUntil() {
    return UnseenUntilMs(View()->Find("web")->settings, *TheBackend(), Progress());
  }

  std::unique_ptr<DrainController> drains_;
};

TEST_F(DrainsTest, UsesTheServicesTimeoutWhenNoneIsGiven) {
  Start(std::nullopt);
  EXPECT_EQ(Drain()->deadline_ms - Drain()->started_ms, 300'000);
}

TEST_F(DrainsTest, CountsDownToDrained) {
  Start(60'000);
  Confirm();
  clock_.Advance(milliseconds(200));
  Count(2);
  Tick();
  EXPECT_EQ(Progress().remaining_flows, 2U);
  EXPECT_FALSE(Progress().finished());
  clock_.Advance(milliseconds(200));
  Count(0);
  Tick();
  EXPECT_TRUE(Progress().finished());
  EXPECT_EQ(EndText(), "no flows remain");
  EXPECT_EQ(Progress().remaining_flows, 0U);
  EXPECT_FALSE((board_->running_drains() != 0));
}

// The default tracking of TCP is adaptive.
TEST_F(DrainsTest, ReportsUntilWhenUnseenFlowsCanExist) {
  Start(600'000);
  Confirm();
  clock_.Advance(milliseconds(200));
  Count(0, 0, /*shifting_slots=*/7);
  Tick();
  EXPECT_FALSE(Progress().finished());
  EXPECT_EQ(UnseenUntil(), Drain()->started_ms + 350'000);
  Count(0, 0, 0);
  EXPECT_EQ(UnseenUntil(), std::nullopt);
  Tick();
  EXPECT_EQ(EndText(), "no flows remain");
}

TEST_F(DrainsTest, DoesNotWaitForShiftingSlotsWhereEveryFlowIsRecorded) {
  ServiceSpec service = View()->Find("web")->Spec();
  service.tracking = Tracking::kAll;
  ASSERT_TRUE(Apply(ReplaceService(service)).ok());
  Start(600'000);
  Confirm();
  clock_.Advance(milliseconds(200));
  Count(0, 0, /*shifting_slots=*/7);
  EXPECT_EQ(UnseenUntil(), std::nullopt);
  Tick();
  EXPECT_EQ(EndText(), "no flows remain");
}

TEST_F(DrainsTest, ASweepBeforeTheConfirmationDoesNotEndTheDrain) {
  Start(60'000);
  clock_.Advance(milliseconds(100));
  Confirm();
  clock_.Advance(milliseconds(50));
  Count(0, /*swept_ms_ago=*/50);  // rounded down, so the sweep may be older than the confirmation
  Tick();
  EXPECT_FALSE(Progress().finished());
  EXPECT_EQ(Progress().remaining_flows, std::nullopt);
  Count(0, /*swept_ms_ago=*/49);
  Tick();
  EXPECT_TRUE(Progress().finished());
}

TEST_F(DrainsTest, DeadlineReleasesTheRemainingFlows) {
  Start(1000);
  Confirm();
  clock_.Advance(milliseconds(999));
  Count(5);
  Tick();
  EXPECT_FALSE(Progress().finished());
  clock_.Advance(milliseconds(1));
  Tick();
  EXPECT_EQ(EndText(), "deadline passed");
  EXPECT_EQ(Progress().finished_ms, clock_.WallMs());
}

TEST_F(DrainsTest, DeadlineKeepsTheRemainingFlowsWhereTheServiceSaysSo) {
  for (const FlowPolicy policy : {FlowPolicy::kKeep, FlowPolicy::kRelease}) {
    ServiceSpec service = View()->Find("web")->Spec();
    service.on_deadline = policy;
    service.health_check.type = &kNoneCheck;
    ASSERT_TRUE(Apply(ReplaceService(service)).ok());
    Start(1000);
    clock_.Advance(milliseconds(1000));
    Tick();
    ASSERT_TRUE(Progress().finished());
    const bool keeps = policy == FlowPolicy::kKeep;
    EXPECT_EQ(EndText(), keeps ? "deadline passed; flows that remain are kept" : "deadline passed");
    EXPECT_EQ(Progress().flows_kept, keeps);
    EXPECT_EQ(PublishedState("web", "10.0.0.1"),
              keeps ? BackendState::kDraining : BackendState::kDown);
    ASSERT_TRUE(Undrain().ok());
  }
}

TEST_F(DrainsTest, DeadlinePassesWhileTheProcessIsDown) {
  Start(10'000);
  clock_.Advance(milliseconds(20'000));
  Open();
  EXPECT_EQ(EndText(), "deadline passed");
}

TEST_F(DrainsTest, RunningDrainContinuesAfterARestart) {
  Start(10'000);
  const int64_t deadline_ms = Drain()->deadline_ms;
  clock_.Advance(milliseconds(4000));
  Open();
  EXPECT_EQ(Drain()->deadline_ms, deadline_ms);
  Tick();
  EXPECT_FALSE(Progress().finished());
  Count(0);  // no dataplane has confirmed the drain to this process yet
  Tick();
  EXPECT_FALSE(Progress().finished());
  clock_.Advance(milliseconds(6000));
  Tick();
  EXPECT_TRUE(Progress().finished());
}

TEST_F(DrainsTest, SecondStartMovesTheDeadlineButNotTheStart) {
  Start(10'000);
  const int64_t started_ms = Drain()->started_ms;
  clock_.Advance(milliseconds(5000));
  Start(20'000);
  EXPECT_EQ(Drain()->started_ms, started_ms);
  EXPECT_EQ(Drain()->deadline_ms, started_ms + 20'000);
  clock_.Advance(milliseconds(14'999));
  Tick();
  EXPECT_FALSE(Progress().finished());
  clock_.Advance(milliseconds(1));
  Tick();
  EXPECT_TRUE(Progress().finished());
}

TEST_F(DrainsTest, SecondStartWithoutATimeoutChangesNothing) {
  Start(10'000);
  const IntentView before = View();
  Start(std::nullopt);
  EXPECT_EQ(View(), before);
}

TEST_F(DrainsTest, DrainedStaysDrainedUntilUndrained) {
  Start(0);
  Tick();
  ASSERT_TRUE(Progress().finished());
  Start(60'000);
  EXPECT_TRUE(Progress().finished());
  WriteStatus();
  Open();
  EXPECT_TRUE(Progress().finished());
  ASSERT_TRUE(Undrain().ok());
  EXPECT_EQ(Drain(), std::nullopt);
  EXPECT_EQ(Undrain().code(), ErrorCode::kNotFound);
}

TEST_F(DrainsTest, UndrainForgetsCountsOfTheEarlierDrain) {
  Start(60'000);
  Confirm();
  clock_.Advance(milliseconds(10));
  Count(0);
  ASSERT_TRUE(Undrain().ok());
  Start(60'000);
  Tick();
  EXPECT_FALSE(Progress().finished());
  EXPECT_EQ(Progress().remaining_flows, std::nullopt);
}

TEST_F(DrainsTest, RemovedBackendsDrainIsForgotten) {
  Start(60'000);
  ASSERT_TRUE(Apply(RemoveBackend("web", ParseEndpoint("10.0.0.1"))).ok());
  drains_->Reconcile(View());
  EXPECT_FALSE((board_->running_drains() != 0));
}

TEST_F(DrainsTest, SeveralDrainsRunAtOnce) {
  Start(60'000);
  Start(1000, "10.0.0.2");
  clock_.Advance(milliseconds(1000));
  Tick();
  EXPECT_TRUE(Progress("10.0.0.2").finished());
  EXPECT_FALSE(Progress("10.0.0.1").finished());
  EXPECT_TRUE((board_->running_drains() != 0));
}

}  // namespace
}  // namespace fairlead
