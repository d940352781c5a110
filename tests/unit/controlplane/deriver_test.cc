#include "controlplane/publish/deriver.h"

#include <random>

#include "controlplane/observe/drain/drains.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

class DeriverTest : public CoreTest {
 protected:
  void AddWeb() { ASSERT_TRUE(Apply(AddService(ParseServiceSpec(kWeb))).ok()); }
  void AddKeeping(std::chrono::milliseconds keep) {
    ServiceSpec web = ParseServiceSpec(kWeb);
    web.on_unhealthy = FlowPolicy::kKeep;
    web.keep_unhealthy_ms = static_cast<uint32_t>(keep.count());
    ASSERT_TRUE(Apply(AddService(web)).ok());
    SetHealth("web", "10.0.0.1", HealthState::kHealthy);
    SetHealth("web", "10.0.0.2", HealthState::kUnhealthy);
  }
  static constexpr const char* kFour =
      R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
          "backends": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]})";
  // One letter for each backend: Initial, Healthy or Unhealthy.
  void SetHealthOfFour(const std::string& states) {
    for (size_t i = 0; i < states.size(); ++i) {
      const HealthState state = states[i] == 'H'   ? HealthState::kHealthy
                                : states[i] == 'U' ? HealthState::kUnhealthy
                                                   : HealthState::kInitial;
      SetHealth("web", "10.0.0." + std::to_string(i + 1), state);
    }
  }
  // One letter for each backend: Active, draining or Down.
  std::string StatesOfFour() {
    std::string states;
    for (int i = 1; i <= 4; ++i) {
      const BackendState state = PublishedState("web", "10.0.0." + std::to_string(i));
      states += state == BackendState::kActive ? 'A' : state == BackendState::kDown ? 'D' : 'd';
    }
    return states;
  }
  uint16_t PublishedWeight(const std::string& service, const std::string& endpoint) {
    const SnapshotImage image = Derive();
    const SnapshotView view(image.bytes());
    const uint32_t id = Backend(service, endpoint)->id;
    for (const BackendRecord& backend : view.backends()) {
      if (backend.id == id) return backend.weight;
    }
    ADD_FAILURE() << endpoint << " is not in the snapshot";
    return 0;
  }
  std::string WeightsOfFour() {
    std::string weights;
    for (int i = 1; i <= 4; ++i) {
      weights += (i == 1 ? "" : " ") +
                 std::to_string(PublishedWeight("web", "10.0.0." + std::to_string(i)));
    }
    return weights;
  }
  static Mutation SetSlowStart(uint32_t slow_start_ms) {
    return EditService("web", [=](const ServiceSpec& present) -> Result<ServiceSpec> {
      ServiceSpec changed = present;
      changed.slow_start_ms = slow_start_ms;
      return changed;
    });
  }
  // Service web with four healthy backends.
  void AddSlowStarting(std::chrono::milliseconds slow_start) {
    ServiceSpec web = ParseServiceSpec(kFour);
    web.slow_start_ms = static_cast<uint32_t>(slow_start.count());
    ASSERT_TRUE(Apply(AddService(web)).ok());
    Derive();
    SetHealthOfFour("HHHH");
  }
  // Writes what the drain controller writes when the drain ends.
  void EndDrain(const std::string& endpoint) {
    const BackendIntent* backend = Backend("web", endpoint);
    board_->SetDrain(backend->id, {.drain_revision = backend->drain->revision,
                                   .end = DrainEnd::kDeadlinePassed,
                                   .finished_ms = clock_.WallMs()});
  }
};

TEST_F(DeriverTest, BelowMinHealthyTheServiceFailsOpenUntilOneMoreIsHealthy) {
  ServiceSpec web = ParseServiceSpec(kFour);
  web.min_healthy = {.count = 2};
  ASSERT_TRUE(Apply(AddService(web)).ok());
  SetHealthOfFour("HHHH");
  EXPECT_EQ(StatesOfFour(), "AAAA");
  SetHealthOfFour("HHUU");
  EXPECT_EQ(StatesOfFour(), "AADD");
  SetHealthOfFour("HUUU");
  EXPECT_EQ(StatesOfFour(), "AAAA");
  EXPECT_TRUE(services_->IsBelow("web"));
  SetHealthOfFour("HHUU");
  EXPECT_EQ(StatesOfFour(), "AAAA") << "as many as min_healthy are not enough to return";
  SetHealthOfFour("HHHU");
  EXPECT_EQ(StatesOfFour(), "AAAD");
  SetHealthOfFour("HHUU");
  EXPECT_EQ(StatesOfFour(), "AADD");
}

TEST_F(DeriverTest, BelowMinHealthyAFailClosedServiceGivesNoBackendNewFlows) {
  ServiceSpec web = ParseServiceSpec(kFour);
  web.min_healthy = {.percent = 50};
  web.fail_open = false;
  ASSERT_TRUE(Apply(AddService(web)).ok());
  SetHealthOfFour("HHUU");
  EXPECT_EQ(StatesOfFour(), "AADD");
  SetHealthOfFour("HUUU");
  EXPECT_EQ(StatesOfFour(), "dDDD") << "the healthy one keeps its flows";
  SetHealthOfFour("HHHU");
  EXPECT_EQ(StatesOfFour(), "AAAD");
}

TEST_F(DeriverTest, ABackendThatTakesNoNewFlowsDoesNotCountForMinHealthy) {
  ServiceSpec web = ParseServiceSpec(kFour);
  web.min_healthy = {.percent = 75};
  web.backends[3].weight = 0;
  ASSERT_TRUE(Apply(AddService(web)).ok());
  SetHealthOfFour("HHHU");
  ASSERT_TRUE(Apply(DrainBackend("web", ParseEndpoint("10.0.0.3"), 1000)).ok());
  EXPECT_EQ(StatesOfFour(), "AAdD") << "both that count are healthy";
  SetHealthOfFour("HUHU");
  EXPECT_EQ(StatesOfFour(), "AAdA") << "one of two is less than 75 %, rounded up";
  ASSERT_TRUE(Apply(EditService("web", [](const ServiceSpec& present) -> Result<ServiceSpec> {
                ServiceSpec changed = present;
                changed.min_healthy = {};
                return changed;
              })).ok());
  EXPECT_EQ(StatesOfFour(), "ADdD");
  EXPECT_EQ(services_->Find("web"), nullptr);
}

TEST_F(DeriverTest, BackendsWithoutAResultDoNotBringAServiceBelowItsMinimum) {
  ServiceSpec web = ParseServiceSpec(kFour);
  web.min_healthy = {.percent = 100};
  web.fail_open = false;
  ASSERT_TRUE(Apply(AddService(web)).ok());
  SetHealthOfFour("HIII");
  EXPECT_EQ(StatesOfFour(), "ADDD");
  SetHealthOfFour("HHHH");
  BackendSpec fifth;
  fifth.endpoint = ParseEndpoint("10.0.0.5");
  ASSERT_TRUE(Apply(AddBackends("web", {fifth})).ok());
  EXPECT_EQ(StatesOfFour(), "AAAA");
}

TEST_F(DeriverTest, ARestartEndsTheHysteresisOfMinHealthyOnly) {
  ServiceSpec web = ParseServiceSpec(kFour);
  web.min_healthy = {.count = 2};
  ASSERT_TRUE(Apply(AddService(web)).ok());
  SetHealthOfFour("HHHH");
  Derive();
  SetHealthOfFour("HUUU");
  EXPECT_EQ(StatesOfFour(), "AAAA");
  WriteStatus();
  Open();
  EXPECT_EQ(StatesOfFour(), "AAAA") << "still below";
  SetHealthOfFour("HHUU");
  EXPECT_EQ(StatesOfFour(), "AADD");
}

TEST_F(DeriverTest, ABackendThatBecomesHealthyClimbsInTenSteps) {
  AddSlowStarting(std::chrono::seconds(10));
  EXPECT_EQ(WeightsOfFour(), "1 1 1 1") << "none climbs at its first result";
  EXPECT_EQ(deriver_->next_expiry(), std::nullopt);
  SetHealthOfFour("UHHH");
  Derive();
  SetHealthOfFour("HHHH");
  EXPECT_EQ(WeightsOfFour(), "1 10 10 10");
  for (int tenth = 2; tenth <= 9; ++tenth) {
    EXPECT_EQ(deriver_->next_expiry(), clock_.Steady() + std::chrono::seconds(1));
    clock_.Advance(std::chrono::milliseconds(999));
    EXPECT_FALSE(deriver_->Update(View())) << tenth;
    clock_.Advance(std::chrono::milliseconds(1));
    EXPECT_TRUE(deriver_->Update(View())) << tenth;
    EXPECT_EQ(WeightsOfFour(), std::to_string(tenth) + " 10 10 10");
  }
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_EQ(WeightsOfFour(), "1 1 1 1");
  EXPECT_EQ(deriver_->next_expiry(), std::nullopt);
}

TEST_F(DeriverTest, AnAddedBackendClimbsAndItsWeightMayChangeMeanwhile) {
  AddSlowStarting(std::chrono::seconds(10));
  Derive();
  BackendSpec fifth;
  fifth.endpoint = ParseEndpoint("10.0.0.5");
  ASSERT_TRUE(Apply(AddBackends("web", {fifth})).ok());
  Derive();
  SetHealth("web", "10.0.0.5", HealthState::kHealthy);
  EXPECT_EQ(PublishedWeight("web", "10.0.0.5"), 1);
  EXPECT_EQ(PublishedWeight("web", "10.0.0.1"), 10);
  ASSERT_TRUE(Apply(EditBackend("web", fifth.endpoint, [](BackendSpec present) {
                present.weight = 4;
                return Result<BackendSpec>(present);
              })).ok());
  EXPECT_EQ(PublishedWeight("web", "10.0.0.5"), 4);
  clock_.Advance(std::chrono::seconds(5));
  EXPECT_EQ(PublishedWeight("web", "10.0.0.5"), 24);
  ASSERT_TRUE(Apply(SetSlowStart(0)).ok());
  EXPECT_EQ(PublishedWeight("web", "10.0.0.5"), 4);
  EXPECT_EQ(PublishedWeight("web", "10.0.0.1"), 1);
}

TEST_F(DeriverTest, NobodyClimbsWhileMoreThanHalfOfTheWeightWould) {
  AddSlowStarting(std::chrono::seconds(10));
  Derive();
  SetHealthOfFour("UUUH");
  Derive();
  SetHealthOfFour("HUUH");
  EXPECT_EQ(WeightsOfFour(), "1 10 10 10") << "half of the weight in use";
  clock_.Advance(std::chrono::seconds(2));
  SetHealthOfFour("HHUH");
  EXPECT_EQ(WeightsOfFour(), "1 1 1 1") << "two of three";
  SetHealthOfFour("HHHH");
  EXPECT_EQ(WeightsOfFour(), "10 10 1 10") << "the others are not set back";
}

TEST_F(DeriverTest, NobodyClimbsWhileHealthIsIgnored) {
  AddSlowStarting(std::chrono::seconds(10));
  Derive();
  SetHealthOfFour("UHHH");
  Derive();
  SetHealthOfFour("HHHH");
  EXPECT_EQ(WeightsOfFour(), "1 10 10 10");
  SetHealthOfFour("UUUU");
  EXPECT_EQ(StatesOfFour() + WeightsOfFour(), "AAAA1 1 1 1");
  SetHealthOfFour("HUUU");
  EXPECT_EQ(StatesOfFour() + WeightsOfFour(), "ADDD1 1 1 1");
}

TEST_F(DeriverTest, NobodyClimbsAfterAStart) {
  AddSlowStarting(std::chrono::seconds(10));
  Derive();
  SetHealthOfFour("UHIH");
  Derive();
  WriteStatus();
  Open();
  EXPECT_EQ(WeightsOfFour(), "1 1 1 1");
  SetHealthOfFour("UHHH");
  EXPECT_EQ(WeightsOfFour(), "1 1 1 1") << "the first result after the start";
  SetHealthOfFour("HHHH");
  EXPECT_EQ(WeightsOfFour(), "1 10 10 10") << "it was unhealthy, and recovered after the start";
}

TEST_F(DeriverTest, KeepsAnUnhealthyBackendsFlowsForTheTimeOfTheService) {
  AddKeeping(std::chrono::seconds(30));
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kDraining);
  EXPECT_EQ(deriver_->next_expiry(), clock_.Steady() + std::chrono::seconds(30));
  clock_.Advance(std::chrono::milliseconds(29'999));
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kDraining);
  EXPECT_FALSE(deriver_->Update(View()));
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_TRUE(deriver_->Update(View()));
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kDown);
  EXPECT_FALSE(deriver_->Update(View()));  // it is reported once
  EXPECT_EQ(deriver_->next_expiry(), std::nullopt);
}

// The clock advances while a snapshot is derived. Timeouts that end meanwhile must not be lost.
TEST_F(DeriverTest, ReleasesFlowsWhoseTimeEndsDuringDerivation) {
  class AdvancingClock : public Clock {
   public:
    explicit AdvancingClock(const FakeClock* start) : now_(start->Steady()) {}
    SteadyTime Steady() const override { return now_ += std::chrono::milliseconds(7); }
    int64_t WallMs() const override { return 0; }

   private:
    mutable SteadyTime now_;
  };
  ServiceSpec web = ParseServiceSpec(R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
      "on_unhealthy": "keep", "keep_unhealthy": "1s", "fail_open": false})");
  for (int i = 1; i <= 20; ++i) {
    web.backends.emplace_back().endpoint = ParseEndpoint("10.0.0." + std::to_string(i));
  }
  ASSERT_TRUE(Apply(AddService(web)).ok());
  for (int i = 1; i <= 20; ++i) {
    SetHealth("web", "10.0.0." + std::to_string(i), HealthState::kUnhealthy);
    clock_.Advance(std::chrono::milliseconds(3));
  }
  const AdvancingClock clock(&clock_);
  SnapshotDeriver deriver(board_.get(), &clock, services_.get());
  deriver.Update(View());
  while (deriver.next_expiry().has_value()) deriver.Update(View());
  deriver.Assemble(1);
  for (const BackendRecord& backend : SnapshotView(deriver.image()).backends()) {
    EXPECT_EQ(backend.state, static_cast<uint8_t>(BackendState::kDown));
  }
}

TEST_F(DeriverTest, KeepsAnUnhealthyBackendsFlowsWhenTheWallClockIsSet) {
  AddKeeping(std::chrono::seconds(30));
  for (const auto by : {std::chrono::hours(24), std::chrono::hours(-48)}) {
    clock_.SetWall(by);
    EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kDraining);
    EXPECT_FALSE(deriver_->Update(View()));
  }
  clock_.Advance(std::chrono::milliseconds(30'000));
  EXPECT_TRUE(deriver_->Update(View()));
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kDown);
}

TEST_F(DeriverTest, ReleasesAnUnhealthyBackendsFlowsByDefault) {
  AddWeb();
  SetHealth("web", "10.0.0.1", HealthState::kHealthy);
  SetHealth("web", "10.0.0.2", HealthState::kUnhealthy);
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kDown);
}

TEST_F(DeriverTest, InitialBackendsGetNoFlowsEvenWhereTheServiceFailsOpen) {
  AddWeb();
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kDown);
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kDown);
  SetHealth("web", "10.0.0.1", HealthState::kHealthy);
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kActive);
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kDown);
}

TEST_F(DeriverTest, ServiceFailsOpenWhenAllItsBackendsFailed) {
  AddWeb();
  SetHealth("web", "10.0.0.1", HealthState::kUnhealthy);
  SetHealth("web", "10.0.0.2", HealthState::kHealthy);
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kDown);
  SetHealth("web", "10.0.0.2", HealthState::kUnhealthy);
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kActive);
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kActive);
}

TEST_F(DeriverTest, DrainingKeepsFlowsAndDrainedReleasesThem) {
  AddWeb();
  for (const char* endpoint : {"10.0.0.1", "10.0.0.2"}) {
    SetHealth("web", endpoint, HealthState::kHealthy);
  }
  const Endpoint endpoint = ParseEndpoint("10.0.0.1");
  ASSERT_TRUE(Apply(DrainBackend("web", endpoint, 1000)).ok());
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kDraining);
  EndDrain("10.0.0.1");
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kDown);
  ASSERT_TRUE(Apply(UndrainBackend("web", endpoint)).ok());
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kActive);
  ASSERT_TRUE(Apply(DrainBackend("web", endpoint, 1000)).ok());
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kDraining)
      << "the end of the earlier drain must not count for this one";
}

TEST_F(DeriverTest, ABackendBehindAGatewayKeepsItsFlowsAndGetsNoNewOnes) {
  AddWeb();
  const uint32_t id = Backend("web", "10.0.0.1")->id;
  for (const char* endpoint : {"10.0.0.1", "10.0.0.2"}) {
    SetHealth("web", endpoint, HealthState::kHealthy);
  }
  board_->SetBehindGateway(id, true);
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kDraining);
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kActive);
  SetHealth("web", "10.0.0.2", HealthState::kUnhealthy);
  EXPECT_EQ(PublishedState("web", "10.0.0.2"), BackendState::kActive) << "the service fails open";
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kDraining);
  SetHealth("web", "10.0.0.2", HealthState::kHealthy);
  board_->SetBehindGateway(id, false);
  EXPECT_EQ(PublishedState("web", "10.0.0.1"), BackendState::kActive);
}

TEST_F(DeriverTest, LeavesOutAFrontendOnAnAddressOfThisHost) {
  AddWeb();
  const auto frontends = [&] { return SnapshotView(Derive().bytes()).frontends().size(); };
  EXPECT_EQ(frontends(), 1U);
  board_->SetFrontends({{*IpAddress::Parse("203.0.113.10"), "interface eth0"}}, {});
  EXPECT_EQ(frontends(), 0U);
  board_->SetFrontends({}, {});
  EXPECT_EQ(frontends(), 1U);
}

// For any order of changes and observations, stepwise derivation gives the same image as derivation
// from scratch.
TEST_F(DeriverTest, StepwiseDerivationEqualsDerivationFromScratch) {
  constexpr uint32_t kSeed = 20261130;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  const auto pick = [&](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  const auto name = [&] { return "s" + std::to_string(pick(5)); };
  const auto endpoint = [&] { return ParseEndpoint("10.0.0." + std::to_string(1 + pick(6))); };
  const auto any_backend = [&]() -> const BackendIntent* {
    const IntentView view = View();
    if (view->services.empty()) return nullptr;
    const auto& service = view->services[pick(static_cast<uint32_t>(view->services.size()))];
    if (service->backends.empty()) return nullptr;
    return service->backends[pick(static_cast<uint32_t>(service->backends.size()))].get();
  };
  for (int step = 0; step < 1500; ++step) {
    const std::string service = name();
    switch (pick(13)) {
      case 0:
        (void)Apply(AddService(ParseServiceSpec(
            R"({"name": ")" + service + R"(", "frontends": ["203.0.113.)" + service.substr(1) +
            R"(:80/tcp"], "on_unhealthy": "keep", "keep_unhealthy": "10s", "min_healthy": )" +
            (pick(2) == 0 ? "0" : R"("50%")") +
            (pick(2) == 0 ? "}" : R"(, "slow_start": "9s"})"))));
        break;
      case 1:
        if (pick(4) == 0) (void)Apply(RemoveService(service));
        break;
      case 2:
      case 3: {
        BackendSpec spec;
        spec.endpoint = endpoint();
        spec.weight = static_cast<uint16_t>(pick(3));
        (void)Apply(AddBackends(service, {spec}));
        break;
      }
      case 4:
        (void)Apply(RemoveBackend(service, endpoint()));
        break;
      case 5:
        (void)Apply(DrainBackend(service, endpoint(), 1000 * pick(10)));
        break;
      case 6:
        (void)Apply(UndrainBackend(service, endpoint()));
        break;
      case 7:
        if (const BackendIntent* backend = any_backend(); backend != nullptr && backend->drain) {
          board_->SetDrain(backend->id, {.drain_revision = backend->drain->revision,
                                         .end = DrainEnd::kDeadlinePassed});
        }
        break;
      case 8:
        clock_.Advance(std::chrono::milliseconds(pick(4000)));
        break;
      case 9:
        if (const BackendIntent* backend = any_backend(); backend != nullptr) {
          board_->SetLeftOut({{backend->id, LeftOut::k_interface_no_port}});
        }
        break;
      case 10:
        if (const BackendIntent* backend = any_backend(); backend != nullptr) {
          board_->SetBehindGateway(backend->id, pick(2) == 0);
        }
        break;
      default:
        if (const BackendIntent* backend = any_backend(); backend != nullptr) {
          board_->SetHealth(backend->id, static_cast<HealthState>(pick(3)), {});
        }
    }
    if (pick(100) == 0) {
      WriteStatus();
      Open();
    }
    if (pick(3) != 0) continue;
    SnapshotDeriver fresh(board_.get(), &clock_, services_.get());
    fresh.Update(View());
    fresh.Assemble(0);
    const SnapshotImage stepwise = Derive();
    ASSERT_TRUE(std::ranges::equal(fresh.image(), stepwise.bytes())) << "step " << step;
  }
}

}  // namespace
}  // namespace fairlead
