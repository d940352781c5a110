// Publishing over the link: restarts of either side, refusals, and dataplanes that misbehave.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <sys/resource.h>

#include "controlplane/common/log.h"
#include "controlplane/core/draft.h"
#include "controlplane/core/store.h"
#include "controlplane/publish/seqpacket.h"
#include "tests/unit/controlplane/daemon_test.h"
#include "tests/unit/controlplane/fake_dataplane.h"
#include "tests/unit/controlplane/http_client.h"
#include "tests/unit/controlplane/memfd.h"
#include "tests/unit/controlplane/support.h"
#include "tests/unit/no_free_file_descriptors.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using testing::HasSubstr;

class PublishTest : public DaemonTest {
 protected:
  bool WaitForInForce(uint64_t generation) {
    return WaitForStatus([=](const Json& view) { return view["generation"] == generation; });
  }
  // Fills the store before the daemon starts: service web with a TCP check that gets no answer in
  // time.
  void Seed(HealthState state) {
    const std::unique_ptr<Store> store = *Store::Open(store_);
    Result<StoredState> state_before = store->Load();
    ASSERT_TRUE(state_before.ok());
    IdsInUse ids;
    IntentDraft draft(std::make_shared<Intent>(state_before->intent), 1, &ids);
    draft.PutService(ParseServiceSpec(
                         R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
                             "fail_open": false,
                             "health_check": {"interval": "120s", "timeout": "119s"},
                             "backends": [{"address": "192.0.2.1", "mac": "02:00:00:00:00:01"}]})"),
                     "");
    const IntentView after = draft.Finish();
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(transaction->PutIntent(state_before->intent, *after).ok());
    ASSERT_TRUE(transaction->SetGeneration(1).ok());
    if (state != HealthState::kInitial) {
      const StoredStatus known{.health = {state, 1, {CheckOutcome::kPassed}}, .drain = {}};
      ASSERT_TRUE(transaction->PutStatus(after->services[0]->backends[0]->id, known).ok());
    }
    ASSERT_TRUE(transaction->Commit().ok());
  }
  static FakeDataplane::Behaviour Forwarding(uint64_t generation) {
    FakeDataplane::Behaviour behaviour;
    behaviour.hello.generation = generation;
    return behaviour;
  }
};

TEST_F(PublishTest, UnconfiguredControlPlaneDoesNotReplaceTables) {
  FakeDataplane dataplane(link_, Forwarding(50));
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  EXPECT_EQ(Call("GET", "/v1/status").json()["generation"], 0);
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  EXPECT_TRUE(dataplane.WaitForGeneration(51));
  EXPECT_EQ(dataplane.publish_count(), 1U) << "no image may be published before the service exists";
}

TEST_F(PublishTest, RestartedDataplaneGetsTheStateAgain) {
  auto dataplane = std::make_unique<FakeDataplane>(link_);
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  ASSERT_TRUE(dataplane->WaitForGeneration(1));
  dataplane.reset();
  EXPECT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == false; }));
  EXPECT_EQ(Call("POST", "/v1/services/web/backends", R"("10.0.0.2")").json()["in_force"], false);
  dataplane = std::make_unique<FakeDataplane>(link_);
  EXPECT_TRUE(dataplane->WaitForGeneration(2));
  EXPECT_TRUE(dataplane->StateOf("10.0.0.2").has_value());
}

TEST_F(PublishTest, RestartedControlPlaneDoesNotPublishWhatIsInForce) {
  FakeDataplane dataplane(link_);
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  ASSERT_TRUE(dataplane.WaitForGeneration(1));
  daemon_->Abandon();
  daemon_ = nullptr;
  Start();
  ASSERT_TRUE(WaitForInForce(1));
  EXPECT_EQ(dataplane.publish_count(), 1U) << "only the first process may publish";
  ASSERT_EQ(Call("DELETE", "/v1/services/web").status, 204);
  EXPECT_TRUE(dataplane.WaitForGeneration(2));
}

TEST_F(PublishTest, GenerationRisesAboveADataplaneThatIsAhead) {
  FakeDataplane dataplane(link_, Forwarding(1000));
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  EXPECT_TRUE(dataplane.WaitForGeneration(1001));
  EXPECT_TRUE(WaitForInForce(1001));
  daemon_ = nullptr;
  Start();
  EXPECT_GE(Call("GET", "/v1/status").json()["generation"], 1001)
      << "the generation must be stored";
}

TEST_F(PublishTest, PublishesToADataplaneWithAnImpossibleGeneration) {
  FakeDataplane dataplane(link_, Forwarding(UINT64_MAX));
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  const Answer created = Call("POST", "/v1/services", kWeb);
  EXPECT_EQ(created.json()["in_force"], true) << created.body;
  EXPECT_EQ(created.json()["generation"], 1);
}

TEST_F(PublishTest, SameGenerationWithOtherContentIsPublishedAgain) {
  {
    Start();
    ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
    daemon_ = nullptr;
  }
  FakeDataplane dataplane(link_, Forwarding(1));  // digest 0: other content
  Start();
  EXPECT_TRUE(dataplane.WaitForGeneration(2));
}

TEST_F(PublishTest, RestartKeepsHealthyBackendsInServiceBeforeTheirFirstCheck) {
  Seed(HealthState::kHealthy);
  FakeDataplane dataplane(link_, Forwarding(7));
  Start();
  ASSERT_TRUE(dataplane.WaitForGeneration(8));
  EXPECT_EQ(dataplane.publish_count(), 1U);
  EXPECT_EQ(dataplane.StateOf("192.0.2.1"), BackendState::kActive);
}

TEST_F(PublishTest, RestartKeepsUnhealthyBackendsOutOfService) {
  Seed(HealthState::kUnhealthy);
  FakeDataplane dataplane(link_, Forwarding(7));
  Start();
  ASSERT_TRUE(dataplane.WaitForGeneration(8));
  EXPECT_EQ(dataplane.StateOf("192.0.2.1"), BackendState::kDown);
}

TEST_F(PublishTest, ForwardingDataplaneKeepsItsTablesUntilHealthIsKnownOrTheGraceEnds) {
  Seed(HealthState::kInitial);
  FakeDataplane dataplane(link_, Forwarding(7));
  const SteadyTime start = std::chrono::steady_clock::now();
  Start();
  ASSERT_TRUE(dataplane.WaitForGeneration(8)) << "the wait must end";
  EXPECT_GE(std::chrono::steady_clock::now() - start, kStartGrace);
}

TEST_F(PublishTest, EmptyDataplaneGetsTheStateAtOnce) {
  Seed(HealthState::kInitial);
  FakeDataplane dataplane(link_);
  Start();
  ASSERT_TRUE(dataplane.WaitForGeneration(1));
  EXPECT_EQ(dataplane.StateOf("192.0.2.1"), BackendState::kDown);
}

TEST_F(PublishTest, ReplyWaitsOnlyBrieflyForADataplaneThatHangs) {
  FakeDataplane::Behaviour behaviour;
  behaviour.answer_publish = false;
  FakeDataplane dataplane(link_, behaviour);
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  const SteadyTime start = std::chrono::steady_clock::now();
  const Answer created = Call("POST", "/v1/services", kWeb);
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(created.json()["in_force"], false);
  EXPECT_GE(std::chrono::steady_clock::now() - start, kInForceWait);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 4 * kInForceWait);
  EXPECT_EQ(Call("GET", "/v1/services/web").status, 200)
      << "the change must be stored although it is not in force";
}

TEST_F(PublishTest, MalformedMessageFromTheDataplaneEndsOnlyTheConnection) {
  FakeDataplane::Behaviour behaviour;
  behaviour.raw_hello = "this is not a link message";
  auto dataplane = std::make_unique<FakeDataplane>(link_, behaviour);
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) {
    return view["connected"] == false && view["error"].get<std::string>().size() > 5;
  }));
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  dataplane.reset();
  dataplane = std::make_unique<FakeDataplane>(link_);
  EXPECT_TRUE(dataplane->WaitForGeneration(1));
}

// What failed is retried without waiting for the next change.
TEST_F(PublishTest, AChangeWithoutFreeFileDescriptorsIsOnlyDelayed) {
  FakeDataplane dataplane(link_);
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  HttpConnection connection(socket_);
  ASSERT_TRUE(connection.Send(RequestText("GET", "/v1/status")));
  ASSERT_EQ(connection.Receive().status, 200) << "the connection must be accepted";
  {
    const NoFreeFileDescriptors none;
    ASSERT_TRUE(connection.Send(RequestText("POST", "/v1/services", kWeb)));
    const Answer changed = connection.Receive();
    ASSERT_EQ(changed.status, 201) << changed.body;
    EXPECT_EQ(changed.json()["in_force"], false);
    ASSERT_TRUE(connection.Send(RequestText("GET", "/v1/status")));
    EXPECT_THAT(std::string(connection.Receive().json()["dataplane"]["error"]),
                HasSubstr("Too many open files"));
  }
  EXPECT_TRUE(WaitForInForce(1));
  EXPECT_EQ(Call("GET", "/v1/status").json()["dataplane"]["error"], "");
}

TEST_F(PublishTest, AChangeAfterARefusedOneIsPublishedAtOnce) {
  FakeDataplane::Behaviour behaviour;
  behaviour.refusal = "not this one";
  FakeDataplane dataplane(link_, behaviour);
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).json()["in_force"], false);
  dataplane.SetRefusal("");
  EXPECT_EQ(Call("POST", "/v1/services/web/backends", R"("10.0.0.2")").json()["in_force"], true);
}

// While an object of this class lives, no file of this process can grow beyond `bytes`.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit none = before_;
    none.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

TEST_F(PublishTest, AChangeThatCannotBeStoredNamesFileAndRemedyAlsoInTheStatus) {
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  const auto error = [&] {
    return Call("GET", "/v1/status").json()["store_error"].get<std::string>();
  };
  {
    const FileSizeLimit limit(std::filesystem::file_size(store_ + "-wal"));
    const Answer refused = Call("PUT", "/v1/seed", R"({"hash_seed": 7})");
    EXPECT_GE(refused.status, 500U);
    const std::string message = refused.json()["error"]["message"];
    EXPECT_THAT(message, HasSubstr("the store " + store_ + " cannot be written: "));
    EXPECT_THAT(message, HasSubstr("; free space in its folder, or make it writable"));
    EXPECT_THAT(error(), HasSubstr("the store " + store_ + " cannot be written: "));
  }
  EXPECT_TRUE(AskUntil(socket_, "/v1/status",
                       [](const Json& status) { return status["store_error"] == ""; }));
}

TEST_F(PublishTest, AStoreThatCannotBeWrittenDoesNotDelayPublishing) {
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  EXPECT_EQ(Call("GET", "/v1/status").json()["store_error"], "");
  std::unique_ptr<FakeDataplane> dataplane;
  {
    const FileSizeLimit limit(std::filesystem::file_size(store_ + "-wal"));
    // The generation must rise above the dataplane's, and the new one must be stored.
    dataplane = std::make_unique<FakeDataplane>(link_, Forwarding(1000));
    EXPECT_TRUE(dataplane->WaitForGeneration(1001));
    EXPECT_TRUE(WaitForInForce(1001));
    // The store has its own thread, so its error can appear later.
    EXPECT_TRUE(AskUntil(socket_, "/v1/status",
                         [](const Json& status) { return status["store_error"] != ""; }));
    EXPECT_EQ(Call("GET", "/v1/status").json()["dataplane"]["error"], "");
    EXPECT_GE(Call("DELETE", "/v1/services/web").status, 500U)
        << "a change that cannot be stored must be refused";
  }
  EXPECT_TRUE(AskUntil(socket_, "/v1/status",
                       [](const Json& status) { return status["store_error"] == ""; }));
  daemon_->Abandon();
  daemon_ = nullptr;
  Start();
  EXPECT_EQ(Call("GET", "/v1/status").json()["generation"], 1001);
  EXPECT_EQ(dataplane->publish_count(), 1U);
}

// An older store must not replace what a newer one has put in force.
TEST_F(PublishTest, AStoreOlderThanTheDataplanesTablesIsNotPublished) {
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  daemon_ = nullptr;
  std::filesystem::copy_file(store_, store_ + ".old");
  Start();
  FakeDataplane dataplane(link_);
  const Answer drained = Call("PUT", "/v1/services/web/backends/10.0.0.1/drain");
  ASSERT_EQ(drained.status, 200) << drained.body;
  ASSERT_TRUE(WaitForInForce(2));
  const size_t published = dataplane.publish_count();
  daemon_ = nullptr;
  std::filesystem::rename(store_ + ".old", store_);
  // Now only the dataplane shows that the store is older.
  std::filesystem::remove(store_ + ".acknowledged");

  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  EXPECT_THAT(std::string(Call("GET", "/v1/status").json()["dataplane"]["error"]),
              HasSubstr("that this store does not have"));
  EXPECT_EQ(Call("GET", "/v1/status").json()["dataplane"]["unknown_generation"], 2);
  const Answer changed = Call("PATCH", "/v1/services/web/backends/10.0.0.1", R"({"weight": 7})");
  EXPECT_EQ(changed.json()["in_force"], false);
  EXPECT_EQ(dataplane.generation(), 2U);
  EXPECT_EQ(dataplane.StateOf("10.0.0.1"), BackendState::kDraining)
      << "the drain must stay in force";
  EXPECT_EQ(dataplane.publish_count(), published);
  daemon_ = nullptr;

  accept_older_store_ = true;
  Start();
  EXPECT_TRUE(dataplane.WaitForGeneration(3));
  EXPECT_EQ(dataplane.StateOf("10.0.0.1"), BackendState::kActive);
}

TEST_F(PublishTest, AnUnrelatedStoreIsNotPublished) {
  Start();
  FakeDataplane dataplane(link_);
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).json()["in_force"], true);
  daemon_ = nullptr;
  std::filesystem::remove(store_);
  std::filesystem::remove(store_ + ".acknowledged");
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  for (int i = 1; i <= 5; ++i) {
    const Answer added =
        Call("POST", "/v1/services",
             R"({"name": "s)" + std::to_string(i) + R"(", "frontends": ["203.0.113.1:)" +
                 std::to_string(i) + R"(/tcp"]})");
    EXPECT_EQ(added.json()["in_force"], false);
  }
  EXPECT_EQ(dataplane.publish_count(), 1U);
}

// The dataplane dies twice when it receives an image. The image is not sent a third time.
TEST_F(PublishTest, AChangeThatKillsTheDataplaneTwiceIsHeldBack) {
  Start();
  {
    FakeDataplane dataplane(link_);
    ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
    ASSERT_EQ(Call("POST", "/v1/services", kWeb).json()["in_force"], true);
  }
  EXPECT_EQ(Call("PATCH", "/v1/services/web/backends/10.0.0.1", R"({"weight": 7})").status, 200);
  const auto last = Forwarding(1);
  for (uint64_t instance = 1; instance <= 2; ++instance) {
    FakeDataplane::Behaviour dying = last;
    dying.hello.instance = instance;  // with the same pid, as in separate PID namespaces
    dying.answer_publish = false;
    FakeDataplane dataplane(link_, dying);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (dataplane.publish_count() == 0 && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ASSERT_EQ(dataplane.publish_count(), 1U);
  }
  FakeDataplane::Behaviour again = last;
  again.hello.instance = 3;
  FakeDataplane dataplane(link_, again);
  ASSERT_TRUE(WaitForStatus([](const Json& view) {
    return view["connected"] == true &&
           std::string(view["error"]).find("held back") != std::string::npos;
  }));
  EXPECT_EQ(dataplane.publish_count(), 0U);
  const Answer other = Call("PATCH", "/v1/services/web/backends/10.0.0.1", R"({"weight": 6})");
  EXPECT_EQ(other.json()["in_force"], true) << "the next change must be published";
  EXPECT_EQ(Call("GET", "/v1/status").json()["dataplane"]["error"], "");
}

TEST_F(PublishTest, ABackupRestoresTheConfiguration) {
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  const Answer backup = Call("GET", "/v1/store/backup");
  ASSERT_EQ(backup.status, 200);
  EXPECT_THAT(backup.headers, HasSubstr("application/vnd.sqlite3"));
  ASSERT_EQ(Call("DELETE", "/v1/services/web").status, 204);
  daemon_ = nullptr;
  std::filesystem::remove(store_);
  std::ofstream(store_, std::ios::binary) << backup.body;
  accept_older_store_ = true;  // the backup is older by one change
  Start();
  EXPECT_EQ(Call("GET", "/v1/services/web").status, 200);
}

TEST_F(PublishTest, ADataplaneOfAnotherVersionIsLoggedOnce) {
  FakeDataplane::Behaviour behaviour;
  behaviour.raw_hello = "this is not a link message";
  FakeDataplane dataplane(link_, behaviour);
  testing::internal::CaptureStderr();
  ASSERT_TRUE(ConfigureLog("json", "warning").ok());
  Start();
  std::this_thread::sleep_for(milliseconds(1500));  // several attempts
  daemon_ = nullptr;
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(ConfigureLog("text", "off").ok());
  const size_t first = log.find("dataplane_disconnected");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("dataplane_disconnected", first + 1), std::string::npos) << log;
}

TEST_F(PublishTest, LogsOnceThatAnotherStationAnnouncesAFrontendsAddress) {
  FakeDataplane dataplane(link_);
  const auto announce = [&](uint64_t total) {
    DataplaneStats stats;
    stats.totals.drops[static_cast<size_t>(DropReason::k_address_conflict)] = total;
    dataplane.SetStats(stats);
  };
  testing::internal::CaptureStderr();
  ASSERT_TRUE(ConfigureLog("json", "warning").ok());
  // Waits until statistics with this total arrived, since answers that are too late are ignored.
  const auto seen = [&](uint64_t total) {
    return AskUntil(socket_, "/v1/stats", [=](const Json& stats) {
      return stats["totals"]["drops"].value("address_conflict", uint64_t{0}) == total;
    });
  };
  announce(1);
  Start();
  EXPECT_TRUE(seen(1));
  announce(4);
  EXPECT_TRUE(seen(4));
  announce(9);
  EXPECT_TRUE(seen(9));
  daemon_ = nullptr;
  const std::string log = testing::internal::GetCapturedStderr();
  const size_t event = log.find(R"("event":"address_conflict")");
  ASSERT_NE(event, std::string::npos) << log;
  EXPECT_THAT(log, HasSubstr(R"("announcements":"3","total":"4")"));
  EXPECT_EQ(log.find("address_conflict", event + 30), std::string::npos) << log;
}

TEST(Seqpacket, ReadsAMemfdOfTheSizeInItsMessage) {
  const std::vector<std::byte> bytes(100, std::byte{7});
  const UniqueFd memfd = MakeMemfd(bytes);
  EXPECT_EQ(*ReadFileDescriptor(memfd.get(), 100), bytes);
  EXPECT_EQ(*ReadFileDescriptor(memfd.get(), 100, std::vector<std::byte>(500)), bytes);
  EXPECT_EQ(ReadFileDescriptor(memfd.get(), 101).status().code(), ErrorCode::kDataLoss);
}

// The dataplane cannot use one backend. All views report it, and everything else takes effect.
TEST_F(PublishTest, ALeftOutBackendIsReportedAndDelaysNothing) {
  FakeDataplane dataplane(link_);
  dataplane.SetLeftOut("10.0.0.2", LeftOut::k_interface_no_port);
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  const Answer web = Call("POST", "/v1/services", kWeb);
  EXPECT_EQ(web.json()["in_force"], true);
  EXPECT_EQ(web.json()["backends"][0]["left_out"], nullptr);

  const Answer added = Call("POST", "/v1/services/web/backends",
                            R"({"address": "10.0.0.2", "mac": "02:00:00:00:00:02"})");
  EXPECT_EQ(added.status, 201);
  EXPECT_EQ(added.json()["in_force"], false) << "a left out backend is not in force";
  EXPECT_THAT(added.headers, HasSubstr("Fairlead-In-Force: false"));
  const Json backend = added.json()["backends"][0];
  EXPECT_EQ(backend["state"], "unused");
  EXPECT_EQ(backend["left_out"]["code"], "interface_no_port");
  EXPECT_THAT(std::string(backend["reason"]), HasSubstr("left out: its next hop is on"));
  EXPECT_THAT(Call("GET", "/metrics").body,
              HasSubstr("fairlead_backends_left_out{reason=\"interface_no_port\"} 1"));
  const Json status = Call("GET", "/v1/status").json();
  EXPECT_EQ(status["left_out_count"], 1);
  EXPECT_EQ(status["left_out"][0]["backend"], "10.0.0.2");
  EXPECT_EQ(status["dataplane"]["error"], "");
  const Answer why = Call("POST", "/v1/explain", R"({"protocol": "tcp",
      "source": "198.51.100.7:40000", "destination": "203.0.113.10:80"})");
  EXPECT_EQ(why.json()["backend"], "10.0.0.1");
  EXPECT_THAT(std::string(why.json()["why"]), HasSubstr("Backend 10.0.0.2 is left out"));

  // Changes of other backends are in force.
  EXPECT_EQ(
      Call("PATCH", "/v1/services/web/backends/10.0.0.1", R"({"weight": 7})").json()["in_force"],
      true);
  // With the next image, the dataplane can use the backend again.
  dataplane.SetLeftOut("10.0.0.2", LeftOut::kNo);
  const Answer used_again = Call("PATCH", "/v1/services/web/backends/10.0.0.2", R"({"weight": 7})");
  EXPECT_EQ(used_again.json()["in_force"], true);
  EXPECT_EQ(used_again.json()["state"], "unchecked");
  EXPECT_EQ(used_again.json()["left_out"], nullptr);
}

TEST_F(PublishTest, AFrontendOnAnAddressOfDataplaneYamlIsRefusedOrLeftOut) {
  Start();
  EXPECT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  FakeDataplane::Behaviour behaviour;
  behaviour.hello.own_addresses = {*IpAddress::Parse("203.0.113.10"),
                                   *IpAddress::Parse("192.0.2.1")};
  FakeDataplane dataplane(link_, behaviour);
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  const Answer refused =
      Call("POST", "/v1/services", R"({"name": "own", "frontends": ["192.0.2.1:80/tcp"]})");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.json()["error"]["code"], "failed_precondition");
  EXPECT_EQ(refused.json()["error"]["field"], "frontends[0]");
  EXPECT_THAT(
      std::string(refused.json()["error"]["message"]),
      HasSubstr("192.0.2.1:80/tcp is an address of this host (addresses of dataplane.yaml)"));

  const Json status = Call("GET", "/v1/status").json();
  ASSERT_EQ(status["left_out_frontends"].size(), 1U);
  EXPECT_EQ(status["left_out_frontends"][0]["service"], "web");
  EXPECT_EQ(status["left_out_frontends"][0]["frontend"], "203.0.113.10:80/tcp");
  const Answer web = Call("PATCH", "/v1/services/web", R"({"fail_open": false})");
  EXPECT_EQ(web.status, 200);
  EXPECT_EQ(web.json()["in_force"], false) << "the only frontend is left out";
  EXPECT_EQ(web.json()["left_out_frontends"][0]["code"], "own_address");
  EXPECT_THAT(Call("GET", "/metrics").body, HasSubstr("fairlead_frontends_left_out 1"));
  const Answer why = Call("POST", "/v1/explain", R"({"protocol": "tcp",
      "source": "198.51.100.7:40000", "destination": "203.0.113.10:80"})");
  EXPECT_THAT(std::string(why.json()["why"]),
              HasSubstr("Frontend 203.0.113.10:80/tcp of service web is left out"));
}

// A control plane that connects to a dataplane with the same image also learns what is left out.
TEST_F(PublishTest, ARestartedControlPlaneLearnsWhatIsLeftOut) {
  FakeDataplane dataplane(link_);
  dataplane.SetLeftOut("10.0.0.1", LeftOut::k_mtu_too_small);
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
  const auto count = [](const Json& status) { return status["left_out_count"] == 1; };
  ASSERT_TRUE(AskUntil(socket_, "/v1/status", count));
  const size_t published = dataplane.publish_count();
  daemon_.reset();
  Start();
  EXPECT_TRUE(AskUntil(socket_, "/v1/status", count));
  EXPECT_EQ(dataplane.publish_count(), published) << "the dataplane has that image already";
}

// Two unrelated stores with the same seed and services select the same backends.
TEST_F(PublishTest, TheSameSeedGivesTheSameTable) {
  FakeDataplane dataplane(link_);
  const auto begin = [&](const std::string& store) {
    store_ = directory_.File(store);
    Start();
    EXPECT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
    EXPECT_EQ(Call("POST", "/v1/services", kWeb).status, 201);
    return Call("GET", "/v1/status").json();
  };
  const Json first = begin("first.db");
  daemon_.reset();
  accept_older_store_ = true;
  const Json second = begin("second.db");
  EXPECT_NE(second["hash_seed"], first["hash_seed"]);
  EXPECT_NE(second["table_digest"], first["table_digest"]);
  EXPECT_EQ(Call("GET", "/v1/seed").json()["hash_seed"], second["hash_seed"]);

  const std::string seed = Json{{"hash_seed", first["hash_seed"]}}.dump();
  const Json changed = Call("PUT", "/v1/seed", seed).json();
  EXPECT_EQ(changed["in_force"], true);
  EXPECT_THAT(std::string(changed["warnings"][0]), HasSubstr("all slots change"));
  EXPECT_EQ(Call("GET", "/v1/status").json()["table_digest"], first["table_digest"]);
  EXPECT_EQ(Call("PUT", "/v1/seed", seed).json()["warnings"], Json::array())
      << "the same seed changes no slot";
  for (const char* bad : {R"({"hash_seed": 0})", R"({"hash_seed": -1})", R"({"hash_seed": "1"})",
                          R"({"seed": 1})", "{}"}) {
    EXPECT_EQ(Call("PUT", "/v1/seed", bad).status, 400) << bad;
  }
  EXPECT_EQ(Call("PUT", "/v1/seed", R"({"hash_seed": -1})").json()["error"]["message"],
            "hash_seed: -1 is not a number from 1 to 18446744073709551615");
}

// A seed without services does not count as configuration. The dataplane keeps its tables.
TEST_F(PublishTest, ASeedAloneDoesNotReplaceTables) {
  FakeDataplane dataplane(link_, Forwarding(50));
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == true; }));
  EXPECT_EQ(Call("PUT", "/v1/seed", R"({"hash_seed": 42})").status, 200);
  EXPECT_EQ(Call("GET", "/v1/status").json()["hash_seed"], 42);
  daemon_.reset();
  Start();
  EXPECT_EQ(Call("GET", "/v1/status").json()["hash_seed"], 42) << "the seed must be stored";
  EXPECT_EQ(dataplane.publish_count(), 0U);
}

}  // namespace
}  // namespace fairlead
