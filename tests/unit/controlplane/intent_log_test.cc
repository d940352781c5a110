#include "controlplane/core/intent_log.h"

#include <map>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "controlplane/core/known_changes.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

using testing::HasSubstr;

class IntentLogTest : public CoreTest {
 protected:
  void AddWeb() { ASSERT_TRUE(Apply(AddService(ParseServiceSpec(kWeb))).ok()); }
  const BackendIntent* Web(const std::string& endpoint) const { return Backend("web", endpoint); }
  std::vector<HistoryEntry> History(uint64_t after, size_t limit = 100) {
    Result<std::vector<HistoryEntry>> answer = Await(log_->History(after, limit));
    history_status_ = answer.status();
    return answer.ok() ? *std::move(answer) : std::vector<HistoryEntry>();
  }
  Status history_status_;
};

TEST_F(IntentLogTest, KeepsServicesAndIdsOverARestart) {
  AddWeb();
  const IntentSpec intent = View()->Spec();
  const uint32_t id = Web("10.0.0.1")->id;
  Open();
  EXPECT_EQ(View()->Spec(), intent);
  EXPECT_EQ(View()->revision, 1U);
  EXPECT_EQ(generations_.current(), 1U);
  EXPECT_EQ(Web("10.0.0.1")->id, id);
  EXPECT_TRUE(log_->ever_configured());
}

TEST_F(IntentLogTest, IdsDoNotDependOnTheOrderOfChanges) {
  AddWeb();
  const uint32_t id = Web("10.0.0.1")->id;
  ASSERT_TRUE(Apply(RemoveBackend("web", ParseEndpoint("10.0.0.1"))).ok());
  ASSERT_TRUE(Apply(AddBackends("web", {ParseBackendSpec(R"("10.0.0.9")")})).ok());
  ASSERT_TRUE(Apply(AddBackends("web", {ParseBackendSpec(R"("10.0.0.1")")})).ok());
  EXPECT_EQ(Web("10.0.0.1")->id, id);
}

TEST_F(IntentLogTest, EachChangeGetsANewRevisionAndGeneration) {
  AddWeb();
  const Result<Committed> second = Apply(AddBackends("web", {ParseBackendSpec(R"("10.0.0.3")")}));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->revision, 2U);
  EXPECT_EQ(second->generation, 2U);
  const Result<Committed> third = Apply(RemoveBackend("web", ParseEndpoint("10.0.0.3")));
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->revision, 3U);
  EXPECT_EQ(third->generation, 3U);
}

TEST_F(IntentLogTest, RevisionsShareUnchangedServicesAndBackends) {
  AddWeb();
  ASSERT_TRUE(Apply(AddService(ParseServiceSpec(
                        R"({"name": "mail", "frontends": ["203.0.113.20:25/tcp"],
                            "backends": ["10.0.0.1"]})")))
                  .ok());
  const IntentView before = View();
  const auto heavier = [](const BackendSpec& present) -> Result<BackendSpec> {
    BackendSpec spec = present;
    spec.weight = 9;
    return spec;
  };
  ASSERT_TRUE(Apply(EditBackend("web", ParseEndpoint("10.0.0.1"), heavier)).ok());
  EXPECT_EQ(before->Find("mail"), View()->Find("mail"));
  EXPECT_NE(before->Find("web"), View()->Find("web"));
  EXPECT_EQ(before->Find("web")->FindExact(ParseEndpoint("10.0.0.2")), Web("10.0.0.2"));
  EXPECT_EQ(before->Find("web")->FindExact(ParseEndpoint("10.0.0.1"))->spec.weight, 1U)
      << "a view must never change";
}

TEST_F(IntentLogTest, AChangeWithoutEffectMakesNoRevision) {
  AddWeb();
  const IntentView before = View();
  const Result<Committed> same = Apply(ReplaceService(ParseServiceSpec(kWeb)));
  ASSERT_TRUE(same.ok()) << same.status().message();
  EXPECT_EQ(same->revision, 1U);
  EXPECT_EQ(View(), before);
}

TEST_F(IntentLogTest, RefusesAChangeThatExpectsAnOlderRevision) {
  AddWeb();
  const auto add = [](const char* endpoint) {
    return AddBackends("web", {ParseBackendSpec(endpoint)});
  };
  EXPECT_TRUE(Apply(add(R"("10.0.0.3")"), Author(), 1).ok());
  const IntentView before = View();
  const Result<Committed> stale = Apply(add(R"("10.0.0.4")"), Author(), 1);
  EXPECT_EQ(stale.status().code(), ErrorCode::kStaleRevision);
  EXPECT_THAT(stale.status().message(), HasSubstr("at revision 2, not 1"));
  EXPECT_EQ(View(), before);
}

TEST_F(IntentLogTest, ConcurrentChangesGetRevisionsInOrder) {
  AddWeb();
  std::vector<uint64_t> revisions;
  int refused = 0;
  const auto apply = [&](Mutation mutation) -> boost::asio::awaitable<void> {
    const Result<Committed> result = co_await log_->Apply(std::move(mutation), Author());
    if (result.ok()) revisions.push_back(result->revision);
    if (!result.ok()) ++refused;
  };
  for (int i = 10; i < 30; ++i) {
    // Each third backend exists already.
    const std::string endpoint = "\"10.0.0." + std::to_string(i % 3 == 0 ? 1 : i) + "\"";
    boost::asio::co_spawn(*context_, apply(AddBackends("web", {ParseBackendSpec(endpoint)})),
                          boost::asio::detached);
  }
  ASSERT_TRUE(RunUntil([&] { return revisions.size() + static_cast<size_t>(refused) == 20; }));
  EXPECT_EQ(refused, 6);
  for (size_t i = 0; i < revisions.size(); ++i) EXPECT_EQ(revisions[i], 2 + i);
  const IntentSpec intent = View()->Spec();
  EXPECT_EQ(intent.services[0].backends.size(), 16U);
  Open();
  EXPECT_EQ(View()->Spec(), intent);
  EXPECT_EQ(View()->revision, 15U);
}

TEST_F(IntentLogTest, BatchWithOneBadBackendChangesNothing) {
  AddWeb();
  const IntentView before = View();
  const Result<Committed> result = Apply(AddBackends(
      "web", {ParseBackendSpec(R"("10.0.0.3")"), ParseBackendSpec(R"("203.0.113.10")")}));
  EXPECT_EQ(result.status().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(result.status().message(), HasSubstr("backends[1]"));
  EXPECT_EQ(View(), before);
  EXPECT_EQ(generations_.current(), 1U);
  Open();
  EXPECT_EQ(View()->Spec(), before->Spec());
}

TEST_F(IntentLogTest, BatchWithAnExistingBackendChangesNothing) {
  AddWeb();
  const IntentView before = View();
  // 10.0.0.1:80 is the same backend as 10.0.0.1: 80 is the frontend's port.
  const Result<Committed> result = Apply(AddBackends(
      "web", {ParseBackendSpec(R"("10.0.0.3")"), ParseBackendSpec(R"("10.0.0.1:80")")}));
  EXPECT_EQ(result.status().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(View(), before);
}

TEST_F(IntentLogTest, RefusesAFrontendThatAnotherServiceHas) {
  AddWeb();
  const Result<Committed> result = Apply(
      AddService(ParseServiceSpec(R"({"name": "other", "frontends": ["203.0.113.10:80/tcp"]})")));
  EXPECT_EQ(result.status().code(), ErrorCode::kAlreadyExists);
  EXPECT_THAT(result.status().message(), HasSubstr("web"));
}

TEST_F(IntentLogTest, RefusesAFrontendOnAnAddressOfThisHost) {
  board_->SetFrontends({{*IpAddress::Parse("10.0.0.2"), "interface eth0"}}, {});
  const Result<Committed> result = Apply(AddService(ParseServiceSpec(
      R"({"name": "own", "frontends": ["203.0.113.10:80/tcp", "10.0.0.2:80/tcp"]})")));
  EXPECT_EQ(result.status().code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(
      result.status().message(),
      HasSubstr("frontends[1]: 10.0.0.2:80/tcp is an address of this host (interface eth0)"));
}

TEST_F(IntentLogTest, ChangesAServiceThatHasAFrontendOnAnAddressOfThisHost) {
  AddWeb();
  board_->SetFrontends({{*IpAddress::Parse("203.0.113.10"), "interface eth0"}}, {});
  // Other changes of the service must not be refused.
  ServiceSpec service = View()->Spec().services[0];
  service.drain_timeout_ms = 1000;
  EXPECT_TRUE(Apply(ReplaceService(service)).ok());
  service.frontends.push_back(*Frontend::Parse("203.0.113.10:81/tcp"));
  EXPECT_FALSE(Apply(ReplaceService(service)).ok());
}

TEST_F(IntentLogTest, ReplacingAServiceKeepsIdHealthAndDrainOfBackendsThatStay) {
  AddWeb();
  SetHealth("web", "10.0.0.1", HealthState::kHealthy);
  ASSERT_TRUE(Apply(DrainBackend("web", ParseEndpoint("10.0.0.1"), 1000)).ok());
  const uint32_t id = Web("10.0.0.1")->id;
  ASSERT_TRUE(
      Apply(ReplaceService(ParseServiceSpec(
                R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"], "hash": "source-ip",
                            "backends": [{"address": "10.0.0.1", "weight": 9}, "10.0.0.7"]})")))
          .ok());
  EXPECT_EQ(Web("10.0.0.1")->id, id);
  EXPECT_TRUE(Web("10.0.0.1")->drain.has_value());
  EXPECT_EQ(Web("10.0.0.1")->spec.weight, 9U);
  EXPECT_EQ(StatusOf("web", "10.0.0.1").health.state, HealthState::kHealthy);
  EXPECT_EQ(Web("10.0.0.2"), nullptr);
  EXPECT_EQ(StatusOf("web", "10.0.0.7").health.state, HealthState::kInitial);
}

TEST_F(IntentLogTest, ChangesOfOneServiceDoNotAffectOthers) {
  const auto add = [&](const char* name, const char* frontend, const char* backend) {
    EXPECT_TRUE(Apply(AddService(ParseServiceSpec(std::string(R"({"name": ")") + name +
                                                  R"(", "frontends": [")" + frontend +
                                                  R"("], "backends": [")" + backend + R"("]})")))
                    .ok());
  };
  add("mail", "203.0.113.20:25/tcp", "10.0.0.1");
  AddWeb();
  add("zone", "203.0.113.30:53/udp", "10.0.0.1");
  SetHealth("web", "10.0.0.1", HealthState::kHealthy, CheckOutcome::kNoCheck);
  const uint32_t mail = Backend("mail", "10.0.0.1")->id;
  const uint32_t removed = Web("10.0.0.2")->id;
  ASSERT_TRUE(Apply(RemoveService("mail")).ok());
  ASSERT_TRUE(Apply(RemoveBackend("web", ParseEndpoint("10.0.0.2"))).ok());
  ASSERT_TRUE(Apply(AddBackends("web", {ParseBackendSpec(R"("10.0.0.3")")})).ok());
  EXPECT_EQ(board_->Find(mail), nullptr);
  EXPECT_EQ(board_->Find(removed), nullptr);
  EXPECT_EQ(StatusOf("web", "10.0.0.1").health.verdict.outcome, CheckOutcome::kNoCheck);
  EXPECT_EQ(StatusOf("web", "10.0.0.3").health.state, HealthState::kInitial);
  const IntentSpec intent = View()->Spec();
  const auto ids = [&] {
    std::map<std::string, uint32_t> all;
    for (const auto& service : View()->services) {
      all[service->name()] = service->id;
      for (const auto& each : service->backends) {
        all[service->name() + " " + each->spec.endpoint.ToString()] = each->id;
      }
    }
    return all;
  };
  const auto before = ids();
  Open();
  EXPECT_EQ(View()->Spec(), intent);
  EXPECT_EQ(ids(), before);
  EXPECT_EQ(before.size(), 5U);  // web with two backends, zone with one
}

TEST_F(IntentLogTest, BackendThatWasRemovedAndAddedAgainStartsWithoutStatus) {
  AddWeb();
  SetHealth("web", "10.0.0.1", HealthState::kHealthy);
  ASSERT_TRUE(Apply(DrainBackend("web", ParseEndpoint("10.0.0.1"), 1000)).ok());
  WriteStatus();
  ASSERT_TRUE(Apply(RemoveBackend("web", ParseEndpoint("10.0.0.1"))).ok());
  ASSERT_TRUE(Apply(AddBackends("web", {ParseBackendSpec(R"("10.0.0.1")")})).ok());
  for (const bool restarted : {false, true}) {
    if (restarted) Open();
    EXPECT_EQ(StatusOf("web", "10.0.0.1").health.state, HealthState::kInitial);
    EXPECT_EQ(Web("10.0.0.1")->drain, std::nullopt);
  }
}

TEST_F(IntentLogTest, HealthAndDrainsSurviveARestart) {
  AddWeb();
  SetHealth("web", "10.0.0.1", HealthState::kHealthy);
  const CheckResult refused{CheckOutcome::kFailed, ECONNREFUSED, 80, 3};
  board_->SetHealth(Web("10.0.0.2")->id, HealthState::kUnhealthy, refused);
  ASSERT_TRUE(Apply(DrainBackend("web", ParseEndpoint("10.0.0.2"), 1000)).ok());
  const DrainIntent drain = *Web("10.0.0.2")->drain;
  const DrainProgress progress{.drain_revision = drain.revision,
                               .end = DrainEnd::kNoFlowsRemain,
                               .finished_ms = 1500,
                               .remaining_flows = 0};
  board_->SetDrain(Web("10.0.0.2")->id, progress);
  WriteStatus();
  Open();
  EXPECT_EQ(StatusOf("web", "10.0.0.1").health.state, HealthState::kHealthy);
  EXPECT_EQ(StatusOf("web", "10.0.0.2").health.state, HealthState::kUnhealthy);
  EXPECT_EQ(StatusOf("web", "10.0.0.2").health.verdict, refused);
  EXPECT_EQ(Web("10.0.0.2")->drain, drain);
  EXPECT_EQ(StatusOf("web", "10.0.0.2").drain, progress);
}

TEST_F(IntentLogTest, HealthOfARemovedBackendIsNotRestored) {
  AddWeb();
  const uint32_t id = Web("10.0.0.1")->id;
  ASSERT_TRUE(Apply(RemoveBackend("web", ParseEndpoint("10.0.0.1"))).ok());
  const Status late = store_->CallHere([&](Store* store) -> Status {
    ASSIGN_OR_RETURN(Store::Transaction transaction, store->Begin(Durability::kInMemory));
    RETURN_IF_ERROR(transaction.PutStatus(id, {.health = {HealthState::kHealthy, 1, {}}}));
    return transaction.Commit();
  });
  EXPECT_TRUE(late.ok()) << late.message();
  Open();
  EXPECT_EQ(Web("10.0.0.1"), nullptr);
}

TEST_F(IntentLogTest, StoresAGenerationThatOnlyObservationsRaised) {
  AddWeb();
  generations_.Raise(9);
  WriteStatus();
  Open();
  EXPECT_EQ(generations_.current(), 9U);
}

TEST_F(IntentLogTest, ImportIsTheFirstRevision) {
  IntentSpec intent;
  intent.hash_seed = 77;
  intent.services.push_back(ParseServiceSpec(kWeb));
  ASSERT_TRUE(log_->ApplyBeforeStart(ImportIntent(intent), Author()).ok());
  EXPECT_EQ(View()->hash_seed, 77U);
  ASSERT_TRUE(Apply(RemoveService("web")).ok());
  Open();
  EXPECT_EQ(View()->hash_seed, 77U);
  EXPECT_TRUE(log_->ever_configured()) << "what an operator removed must not be imported again";
}

TEST_F(IntentLogTest, AnEmptyImportCountsAsConfiguration) {
  ASSERT_TRUE(log_->ApplyBeforeStart(ImportIntent({}), Author()).ok());
  Open();
  EXPECT_TRUE(log_->ever_configured());
}

TEST_F(IntentLogTest, ASeedAloneDoesNotCountAsConfiguration) {
  ASSERT_TRUE(Apply(SetHashSeed(5)).ok());
  EXPECT_EQ(View()->hash_seed, 5U);
  Open();
  EXPECT_EQ(View()->hash_seed, 5U);
  EXPECT_FALSE(log_->ever_configured());
  AddWeb();
  EXPECT_EQ(Apply(SetHashSeed(6))->revision, 2U);
}

TEST_F(IntentLogTest, HistoryRecordsWhoChangedWhat) {
  AddWeb();
  clock_.Advance(std::chrono::seconds(5));
  ASSERT_TRUE(Apply(AddBackends("web", {ParseBackendSpec(R"("10.0.0.3")")}), Author("root")).ok());
  Open();
  const std::vector<HistoryEntry> entries = History(0);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[1].revision, 2U);
  EXPECT_EQ(entries[1].author, "root");
  EXPECT_EQ(entries[1].at_ms, entries[0].at_ms + 5000);
  const auto changes = nlohmann::json::parse(entries[1].changes);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0]["backend"], "10.0.0.3");
  EXPECT_EQ(changes[0]["before"], nullptr);
  EXPECT_EQ(changes[0]["after"]["weight"], 1);
  EXPECT_EQ(nlohmann::json::parse(entries[0].changes).size(), 3U) << "a service and two backends";
}

TEST_F(IntentLogTest, HistoryRefusesAnUnknownRevisionAndNamesItsOwn) {
  AddWeb();
  EXPECT_EQ(History(0).size(), 1U);
  EXPECT_TRUE(History(1).empty());
  EXPECT_TRUE(history_status_.ok()) << "revision 2 does not exist yet, which is no error";
  EXPECT_TRUE(History(2).empty());
  EXPECT_EQ(history_status_.code(), ErrorCode::kHistoryGone);
  EXPECT_THAT(history_status_.message(), HasSubstr("after revision 2 are not in the history"));
  EXPECT_THAT(history_status_.message(), HasSubstr("1 to 1"));
}

TEST_F(IntentLogTest, OnlyTheOwnerMayChangeABackend) {
  AddWeb();
  const Author scaler("", "scaler");
  const Author people("root");
  const Author forced("root", "", true);
  ASSERT_TRUE(Apply(AddBackends("web", {ParseBackendSpec(R"("10.0.0.3")")}), scaler).ok());
  EXPECT_EQ(Web("10.0.0.3")->owner, "scaler");
  const Endpoint owned = ParseEndpoint("10.0.0.3");
  const auto weight = [&](uint16_t value) {
    return EditBackend("web", owned, [value](const BackendSpec& present) -> Result<BackendSpec> {
      BackendSpec spec = present;
      spec.weight = value;
      return spec;
    });
  };
  const Result<Committed> refused = Apply(weight(5), people);
  EXPECT_EQ(refused.status().code(), ErrorCode::kWrongOwner);
  EXPECT_THAT(refused.status().message(), HasSubstr("belongs to scaler"));
  EXPECT_EQ(Apply(RemoveBackend("web", owned), people).status().code(), ErrorCode::kWrongOwner);
  EXPECT_EQ(Apply(RemoveService("web"), people).status().code(), ErrorCode::kWrongOwner);
  ServiceSpec without = ParseServiceSpec(kWeb);
  EXPECT_EQ(Apply(ReplaceService(without), people).status().code(), ErrorCode::kWrongOwner);
  EXPECT_EQ(Apply(RemoveBackend("web", ParseEndpoint("10.0.0.1")), scaler).status().code(),
            ErrorCode::kWrongOwner)
      << "a program must not change a backend of people";
  // People may always stop new flows and allow them again.
  EXPECT_TRUE(Apply(weight(0), people).ok());
  EXPECT_TRUE(Apply(DrainBackend("web", owned, 1000), people).ok());
  EXPECT_TRUE(Apply(UndrainBackend("web", owned), people).ok());
  EXPECT_TRUE(Apply(weight(5), scaler).ok());
  EXPECT_TRUE(Apply(weight(6), forced).ok());
  Open();
  EXPECT_EQ(Web("10.0.0.3")->owner, "scaler") << "a forced change must not change the owner";
}

TEST(KnownChanges, KnowsOnlyTheCommittedChangeOfAGeneration) {
  KnownChanges changes;
  changes.Add(5, 111);
  changes.Add(5, 222);  // the first one was refused by the disk
  EXPECT_TRUE(changes.Knows(222, 5));
  EXPECT_FALSE(changes.Knows(111, 5));
}

}  // namespace
}  // namespace fairlead
