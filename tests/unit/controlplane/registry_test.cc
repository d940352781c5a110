#include "controlplane/core/registry.h"

#include <gmock/gmock.h>

#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using testing::HasSubstr;

constexpr const char* kWeb = R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
    "backends": [{"address": "10.0.0.2", "mac": "02:00:00:00:00:02"},
                 {"address": "10.0.0.1", "mac": "02:00:00:00:00:01"}]})";

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  // As after a restart of the process.
  void Reopen() {
    registry_.reset();
    store_.reset();
    Result<std::unique_ptr<Store>> store = Store::Open(directory_.File("store.db"));
    ASSERT_TRUE(store.ok()) << store.status().message();
    store_ = *std::move(store);
    registry_ = std::make_unique<Registry>(store_.get(), &clock_);
    const Status status = registry_->Load();
    ASSERT_TRUE(status.ok()) << status.message();
  }

  void AddWeb() { ASSERT_TRUE(registry_->AddService(ParseServiceSpec(kWeb)).ok()); }
  BackendRuntime* Backend(const std::string& endpoint) {
    return registry_->FindRuntime("web", ParseEndpoint(endpoint));
  }
  BackendState PublishedState(const std::string& endpoint) {
    const SnapshotInput input = registry_->Derive(registry_->generation());
    for (const SnapshotBackend& backend : input.services.at(0).backends) {
      if (backend.endpoint == ParseEndpoint(endpoint)) return backend.state;
    }
    ADD_FAILURE() << endpoint << " is not in the snapshot";
    return BackendState::kDown;
  }

  TempDir directory_;
  FakeClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(RegistryTest, KeepsServicesAndIdsOverARestart) {
  AddWeb();
  const IntentSpec intent = registry_->intent();
  const uint32_t id = Backend("10.0.0.1")->id;
  Reopen();
  EXPECT_EQ(registry_->intent(), intent);
  EXPECT_EQ(registry_->generation(), 1U);
  EXPECT_EQ(Backend("10.0.0.1")->id, id);
  EXPECT_TRUE(registry_->ever_configured());
}

TEST_F(RegistryTest, IdsDoNotDependOnTheOrderOfChanges) {
  AddWeb();
  const uint32_t id = Backend("10.0.0.1")->id;
  ASSERT_TRUE(registry_->RemoveBackend("web", ParseEndpoint("10.0.0.1")).ok());
  ASSERT_TRUE(registry_->AddBackends("web", {ParseBackendSpec(R"("10.0.0.9")")}).ok());
  ASSERT_TRUE(registry_->AddBackends("web", {ParseBackendSpec(R"("10.0.0.1")")}).ok());
  EXPECT_EQ(Backend("10.0.0.1")->id, id);
}

TEST_F(RegistryTest, KeepsAnUnhealthyBackendsFlowsForAsLongAsTheServiceSays) {
  ServiceSpec web = ParseServiceSpec(kWeb);
  web.on_unhealthy = FlowPolicy::kKeep;
  web.keep_unhealthy_ms = 30'000;
  ASSERT_TRUE(registry_->AddService(web).ok());
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "");
  registry_->SetHealth(Backend("10.0.0.2"), HealthState::kUnhealthy, "refused");
  EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kDraining);
  EXPECT_FALSE(registry_->KeptFlowsRunOut());
  clock_.Advance(std::chrono::milliseconds(29'999));
  EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kDraining);
  EXPECT_FALSE(registry_->KeptFlowsRunOut());
  clock_.Advance(std::chrono::milliseconds(1));
  EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kDown);
  EXPECT_TRUE(registry_->KeptFlowsRunOut());
  EXPECT_FALSE(registry_->KeptFlowsRunOut());  // said once
}

TEST_F(RegistryTest, KeepsThemWhateverIsDoneToTheHostsClock) {
  ServiceSpec web = ParseServiceSpec(kWeb);
  web.on_unhealthy = FlowPolicy::kKeep;
  web.keep_unhealthy_ms = 30'000;
  ASSERT_TRUE(registry_->AddService(web).ok());
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "");
  registry_->SetHealth(Backend("10.0.0.2"), HealthState::kUnhealthy, "refused");
  for (const auto by : {std::chrono::hours(24), std::chrono::hours(-48)}) {
    clock_.SetWall(by);
    EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kDraining);
    EXPECT_FALSE(registry_->KeptFlowsRunOut());
  }
  clock_.Advance(std::chrono::milliseconds(30'000));
  EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kDown);
  EXPECT_TRUE(registry_->KeptFlowsRunOut());
}

TEST_F(RegistryTest, ReleasesAnUnhealthyBackendsFlowsByDefault) {
  AddWeb();
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "");
  registry_->SetHealth(Backend("10.0.0.2"), HealthState::kUnhealthy, "refused");
  EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kDown);
}

TEST_F(RegistryTest, EachChangeHasAGenerationOfItsOwn) {
  AddWeb();
  const Result<uint64_t> second =
      registry_->AddBackends("web", {ParseBackendSpec(R"("10.0.0.3")")});
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*second, 2U);
  EXPECT_EQ(*registry_->RemoveBackend("web", ParseEndpoint("10.0.0.3")), 3U);
}

TEST_F(RegistryTest, BatchWithOneBadBackendChangesNothing) {
  AddWeb();
  const IntentSpec before = registry_->intent();
  const Result<uint64_t> result = registry_->AddBackends(
      "web", {ParseBackendSpec(R"("10.0.0.3")"), ParseBackendSpec(R"("203.0.113.10")")});
  EXPECT_EQ(result.status().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(result.status().message(), HasSubstr("backends[1]"));
  EXPECT_EQ(registry_->intent(), before);
  EXPECT_EQ(registry_->generation(), 1U);
  Reopen();
  EXPECT_EQ(registry_->intent(), before);
}

TEST_F(RegistryTest, BatchThatNamesABackendThatIsThereChangesNothing) {
  AddWeb();
  const IntentSpec before = registry_->intent();
  // 10.0.0.1:80 is the same backend as 10.0.0.1: 80 is the frontend's port.
  const Result<uint64_t> result = registry_->AddBackends(
      "web", {ParseBackendSpec(R"("10.0.0.3")"), ParseBackendSpec(R"("10.0.0.1:80")")});
  EXPECT_EQ(result.status().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(registry_->intent(), before);
}

TEST_F(RegistryTest, RefusesAFrontendThatAnotherServiceHas) {
  AddWeb();
  const Result<uint64_t> result = registry_->AddService(
      ParseServiceSpec(R"({"name": "other", "frontends": ["203.0.113.10:80/tcp"]})"));
  EXPECT_EQ(result.status().code(), ErrorCode::kAlreadyExists);
  EXPECT_THAT(result.status().message(), HasSubstr("web"));
}

TEST_F(RegistryTest, RefusesAFrontendOnAnAddressOfThisHost) {
  registry_->SetOwnAddresses({{*IpAddress::Parse("10.0.0.2"), "interface eth0"}});
  const Result<uint64_t> result = registry_->AddService(ParseServiceSpec(
      R"({"name": "own", "frontends": ["203.0.113.10:80/tcp", "10.0.0.2:80/tcp"]})"));
  EXPECT_EQ(result.status().code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(
      result.status().message(),
      HasSubstr("frontends[1]: 10.0.0.2:80/tcp is an address of this host (interface eth0)"));
}

TEST_F(RegistryTest, LeavesOutAFrontendWhoseAddressBecomesThisHosts) {
  AddWeb();
  const auto frontends = [&] { return registry_->Derive(1).services.at(0).frontends; };
  const Registry::OwnAddresses own = {{*IpAddress::Parse("203.0.113.10"), "interface eth0"}};
  const Registry::OwnFrontendsChange change = registry_->SetOwnAddresses(own);
  ASSERT_EQ(change.left_out.size(), 1U);
  EXPECT_EQ(change.left_out[0].service, "web");
  EXPECT_TRUE(change.back.empty());
  EXPECT_TRUE(frontends().empty());
  EXPECT_TRUE(registry_->SetOwnAddresses(own).left_out.empty()) << "told once";
  // Whatever else of the service changes is no reason to refuse it.
  ServiceSpec service = registry_->intent().services[0];
  service.drain_timeout_ms = 1000;
  EXPECT_TRUE(registry_->ReplaceService(service).ok());
  service.frontends.push_back(*Frontend::Parse("203.0.113.10:81/tcp"));
  EXPECT_FALSE(registry_->ReplaceService(service).ok());

  EXPECT_EQ(registry_->SetOwnAddresses({}).back.size(), 1U);
  EXPECT_EQ(frontends().size(), 1U);
  EXPECT_TRUE(registry_->own_frontends().empty());
}

TEST_F(RegistryTest, ReplacingAServiceKeepsIdHealthAndDrainOfBackendsThatStay) {
  AddWeb();
  BackendRuntime* kept = Backend("10.0.0.1");
  registry_->SetHealth(kept, HealthState::kHealthy, "passes");
  ASSERT_TRUE(registry_->PutDrain(kept, {1000, 2000, 0, ""}).ok());
  const uint32_t id = kept->id;
  ASSERT_TRUE(registry_
                  ->ReplaceService(ParseServiceSpec(
                      R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"], "hash": "source-ip",
                          "backends": [{"address": "10.0.0.1", "weight": 9}, "10.0.0.7"]})"))
                  .ok());
  EXPECT_EQ(Backend("10.0.0.1"), kept) << "pointers to backends that stay are valid";
  EXPECT_EQ(kept->id, id);
  EXPECT_EQ(kept->health.state, HealthState::kHealthy);
  EXPECT_TRUE(kept->drain.has_value());
  EXPECT_EQ(registry_->SpecOf(*kept).weight, 9U);
  EXPECT_EQ(kept->next_hop, std::nullopt) << "its MAC was static and is no longer given";
  EXPECT_EQ(Backend("10.0.0.2"), nullptr);
  EXPECT_EQ(Backend("10.0.0.7")->health.state, HealthState::kInitial);
}

TEST_F(RegistryTest, ChangesOfOneServiceLeaveTheOthersAsTheyAre) {
  const auto add = [&](const char* name, const char* frontend, const char* backend) {
    EXPECT_TRUE(registry_
                    ->AddService(ParseServiceSpec(std::string(R"({"name": ")") + name +
                                                  R"(", "frontends": [")" + frontend +
                                                  R"("], "backends": [")" + backend + R"("]})"))
                    .ok());
  };
  add("mail", "203.0.113.20:25/tcp", "10.0.0.1");
  AddWeb();
  add("zone", "203.0.113.30:53/udp", "10.0.0.1");
  BackendRuntime* const backend = Backend("10.0.0.1");
  BackendRuntime* const other = Backend("10.0.0.2");
  registry_->SetHealth(backend, HealthState::kHealthy, "seen");
  const uint32_t mail = registry_->services().at("mail").backends.begin()->second.id;
  const uint32_t removed = other->id;
  ASSERT_TRUE(registry_->RemoveService("mail").ok());
  ASSERT_TRUE(registry_->RemoveBackend("web", ParseEndpoint("10.0.0.2")).ok());
  BackendSpec third;
  third.endpoint = ParseEndpoint("10.0.0.3");
  ASSERT_TRUE(registry_->AddBackends("web", {third}).ok());
  EXPECT_EQ(registry_->FindRuntime(mail), nullptr);
  EXPECT_EQ(registry_->FindRuntime(removed), nullptr);
  EXPECT_EQ(registry_->FindRuntime(backend->id), backend);
  EXPECT_EQ(Backend("10.0.0.1"), backend);
  EXPECT_EQ(backend->health.reason, "seen");
  EXPECT_EQ(registry_->FindRuntime(Backend("10.0.0.3")->id), Backend("10.0.0.3"));
  const IntentSpec intent = registry_->intent();
  const auto ids = [&] {
    std::map<std::string, uint32_t> all;
    for (const auto& [name, service] : registry_->services()) {
      all[name] = service.id;
      for (const auto& [endpoint, each] : service.backends) {
        all[name + " " + endpoint.ToString()] = each.id;
      }
    }
    return all;
  };
  const auto before = ids();
  Reopen();
  EXPECT_EQ(registry_->intent(), intent);
  EXPECT_EQ(ids(), before);
  EXPECT_EQ(before.size(), 5U);  // web with two backends, zone with one
}

TEST_F(RegistryTest, BackendThatWasRemovedAndAddedAgainStartsAnew) {
  AddWeb();
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "passes");
  ASSERT_TRUE(registry_->PutDrain(Backend("10.0.0.1"), {1000, 2000, 0, ""}).ok());
  ASSERT_TRUE(registry_->Flush(0).ok());
  ASSERT_TRUE(registry_->RemoveBackend("web", ParseEndpoint("10.0.0.1")).ok());
  ASSERT_TRUE(registry_->AddBackends("web", {ParseBackendSpec(R"("10.0.0.1")")}).ok());
  EXPECT_EQ(Backend("10.0.0.1")->health.state, HealthState::kInitial);
  EXPECT_EQ(Backend("10.0.0.1")->drain, std::nullopt);
  Reopen();
  EXPECT_EQ(Backend("10.0.0.1")->health.state, HealthState::kInitial);
  EXPECT_EQ(Backend("10.0.0.1")->drain, std::nullopt);
}

TEST_F(RegistryTest, HealthAndDrainsSurviveARestart) {
  AddWeb();
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "passes");
  registry_->SetHealth(Backend("10.0.0.2"), HealthState::kUnhealthy, "refused");
  ASSERT_TRUE(registry_->Flush(0).ok());
  const DrainRecord drain{1000, 2000, 1500, "no flows remain"};
  ASSERT_TRUE(registry_->PutDrain(Backend("10.0.0.2"), drain).ok());
  Reopen();
  EXPECT_EQ(Backend("10.0.0.1")->health.state, HealthState::kHealthy);
  EXPECT_EQ(Backend("10.0.0.2")->health.state, HealthState::kUnhealthy);
  EXPECT_EQ(Backend("10.0.0.2")->health.reason, "refused");
  EXPECT_EQ(Backend("10.0.0.2")->drain, drain);
}

TEST_F(RegistryTest, RemovedBackendsLateHealthIsNotStored) {
  AddWeb();
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "passes");
  ASSERT_TRUE(registry_->RemoveBackend("web", ParseEndpoint("10.0.0.1")).ok());
  ASSERT_TRUE(registry_->Flush(0).ok());
  Reopen();
  EXPECT_EQ(Backend("10.0.0.1"), nullptr);
}

TEST_F(RegistryTest, FlushStoresAGenerationThatOnlyObservationsRaised) {
  AddWeb();
  ASSERT_TRUE(registry_->Flush(9).ok());
  Reopen();
  EXPECT_EQ(registry_->generation(), 9U);
}

TEST_F(RegistryTest, InitialBackendsGetNothingEvenWhereTheServiceFailsOpen) {
  AddWeb();
  EXPECT_EQ(PublishedState("10.0.0.1"), BackendState::kDown);
  EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kDown);
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "passes");
  EXPECT_EQ(PublishedState("10.0.0.1"), BackendState::kActive);
  EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kDown);
}

TEST_F(RegistryTest, ServiceFailsOpenWhenAllItsBackendsFailed) {
  AddWeb();
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kUnhealthy, "refused");
  registry_->SetHealth(Backend("10.0.0.2"), HealthState::kHealthy, "passes");
  EXPECT_EQ(PublishedState("10.0.0.1"), BackendState::kDown);
  registry_->SetHealth(Backend("10.0.0.2"), HealthState::kUnhealthy, "refused");
  EXPECT_EQ(PublishedState("10.0.0.1"), BackendState::kActive);
  EXPECT_EQ(PublishedState("10.0.0.2"), BackendState::kActive);
}

TEST_F(RegistryTest, DrainingKeepsFlowsAndDrainedReleasesThem) {
  AddWeb();
  for (const char* endpoint : {"10.0.0.1", "10.0.0.2"}) {
    registry_->SetHealth(Backend(endpoint), HealthState::kHealthy, "passes");
  }
  ASSERT_TRUE(registry_->PutDrain(Backend("10.0.0.1"), {1000, 2000, 0, ""}).ok());
  EXPECT_EQ(PublishedState("10.0.0.1"), BackendState::kDraining);
  ASSERT_TRUE(registry_->PutDrain(Backend("10.0.0.1"), {1000, 2000, 2000, "deadline passed"}).ok());
  EXPECT_EQ(PublishedState("10.0.0.1"), BackendState::kDown);
  ASSERT_TRUE(registry_->RemoveDrain(Backend("10.0.0.1")).ok());
  EXPECT_EQ(PublishedState("10.0.0.1"), BackendState::kActive);
}

TEST_F(RegistryTest, ImportFillsOnlyAStoreThatWasNeverConfigured) {
  IntentSpec intent;
  intent.hash_seed = 77;
  intent.services.push_back(ParseServiceSpec(kWeb));
  ASSERT_TRUE(registry_->Import(intent).ok());
  EXPECT_EQ(registry_->intent().hash_seed, 77U);
  ASSERT_TRUE(registry_->RemoveService("web").ok());
  Reopen();
  EXPECT_EQ(registry_->intent().hash_seed, 77U);
  EXPECT_EQ(registry_->Import(intent).code(), ErrorCode::kFailedPrecondition)
      << "what an operator removed does not come back";
}

TEST_F(RegistryTest, SinceStaysWhenOnlyTheReasonChanges) {
  AddWeb();
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "passes");
  const int64_t since = Backend("10.0.0.1")->health.since_ms;
  clock_.Advance(std::chrono::seconds(5));
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kHealthy, "no check is configured");
  EXPECT_EQ(Backend("10.0.0.1")->health.since_ms, since);
  registry_->SetHealth(Backend("10.0.0.1"), HealthState::kUnhealthy, "refused");
  EXPECT_EQ(Backend("10.0.0.1")->health.since_ms, since + 5000);
}

}  // namespace
}  // namespace fairlead
