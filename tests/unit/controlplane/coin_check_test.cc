// A check type that exists only in this file: it tosses a coin. It shows what a new type needs: a
// descriptor and a probe. No other file names it.
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>

#include "controlplane/common/log.h"
#include "controlplane/observe/health/checks.h"
#include "lib/intent/checks/for_tests.h"
#include "tests/unit/controlplane/core_fixture.h"
#include "tests/unit/controlplane/fake_dataplane.h"
#include "tests/unit/controlplane/http_client.h"

namespace fairlead {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::json;
using testing::HasSubstr;

// The descriptor, for lib/.

enum Side : int { kHeads, kTails };

std::string_view RefuseSide(std::string_view text) {
  return text == "heads" || text == "tails" ? "" : "is neither heads nor tails";
}

Status JudgeCoin(const ServiceSpec& service, std::string_view path) {
  if (service.health_check.port == 0) return {};
  return InvalidArgument(std::string(path) + "health_check.port: a coin has no port");
}

std::vector<uint16_t> CoinPorts(const ServiceSpec&, const BackendSpec&) { return {0}; }

std::string CoinText(const FailedCheck& failed) {
  return std::string("the coin shows ") + (failed.detail == kHeads ? "heads" : "tails");
}

constexpr CheckField kCoinFields[] = {
    {.name = "wins", .help = "heads | tails", .default_text = "heads", .refusal = RefuseSide},
    {.name = "tosses",
     .help = "how often",
     .kind = CheckField::Kind::kNumber,
     .default_number = 1,
     .min = 1,
     .max = 9}};

constinit const CheckType kCoinCheck = {.name = "coin",
                                        .number = 200,
                                        .fields = kCoinFields,
                                        .validate = JudgeCoin,
                                        .ports = CoinPorts,
                                        .failure_text = CoinText};

// The probe. Every coin shows `shown`.

std::atomic<int> shown;

asio::awaitable<ProbeAnswer> Toss(ProbeTarget target) {
  const Side wins = std::get<std::string>(target.settings.at(0)) == "heads" ? kHeads : kTails;
  ProbeAnswer answer{CheckOutcome::kPassed};
  if (shown != wins) answer = {CheckOutcome::kFailed, shown};
  co_return answer;
}

Probers WithCoin(size_t most_at_once) {
  Probers probers = MakeProbers(most_at_once);
  probers[&kCoinCheck] = Toss;
  return probers;
}

std::string Service(const std::string& name, int address, const std::string& check) {
  return R"({"name": ")" + name + R"(", "frontends": ["203.0.113.)" + std::to_string(address) +
         R"(:80/tcp"], "fail_open": false,
             "backends": [{"address": "10.0.0.1", "mac": "02:00:00:00:00:01"}],
             "health_check": {"type": "coin", "interval": "100ms", "timeout": "50ms", "rise": 1,
                              "fall": 2)" +
         check + "}}";
}

Status ErrorOf(const std::string& service) { return ServiceFromJson(*ParseJson(service)).status(); }

TEST(CoinCheck, IsUnknownOutsideThisTest) {
  EXPECT_EQ(ErrorOf(Service("web", 1, "")).message(),
            R"(health_check.type: "coin" is not one of tcp | http | https | grpc | udp | none)");
}

TEST(CoinCheck, HasItsOwnSettingsAndRules) {
  const ScopedCheckType coin(&kCoinCheck);
  const ServiceSpec spec = ParseServiceSpec(Service("web", 1, R"(, "wins": "tails")"));
  EXPECT_EQ(spec.health_check.settings, (CheckSettings{std::string("tails"), uint64_t{1}}));
  const Json shown_as = ServiceToJson(spec)["health_check"];
  EXPECT_EQ(shown_as["type"], "coin");
  EXPECT_EQ(shown_as["wins"], "tails");
  EXPECT_EQ(shown_as["tosses"], 1);
  EXPECT_EQ(*ServiceFromJson(ServiceToJson(spec)), spec);

  const std::pair<std::string, std::string> refused[] = {
      {R"(, "wins": "edge")", "health_check.wins: edge is neither heads nor tails"},
      {R"(, "wins": 1)", "health_check.wins: 1 is not text"},
      {R"(, "tosses": 10)", "health_check.tosses: 10 is not within 1..9"},
      {R"(, "port": 80)", "health_check.port: a coin has no port"},
      {R"(, "side": "heads")", R"(health_check.side: "heads" belongs to an unknown field)"},
  };
  for (const auto& [settings, message] : refused) {
    EXPECT_THAT(ErrorOf(Service("web", 1, settings)).message(), HasSubstr(message));
  }
  const Json tcp = {{"name", "web"},
                    {"frontends", {"203.0.113.1:80/tcp"}},
                    {"health_check", {{"type", "tcp"}, {"wins", "heads"}}}};
  EXPECT_THAT(ServiceFromJson(tcp).status().message(), HasSubstr("health_check.wins"));
}

class CoinDaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(ConfigureLog("text", "off").ok());
    shown = kHeads;
    Start();
  }
  void Start() {
    daemon_.reset();
    DaemonOptions options;
    options.socket_path = socket_;
    options.store_path = directory_.File("store.db");
    options.link_path = link_;
    options.follow_neighbours = false;
    options.make_probers = WithCoin;
    daemon_ = std::make_unique<RunningDaemon>(std::move(options));
    ASSERT_TRUE(daemon_->start_status().ok()) << daemon_->start_status().message();
  }
  void Add(const std::string& service) {
    const Answer added = Ask(socket_, "POST", "/v1/services", service);
    ASSERT_EQ(added.status, 201) << added.body;
  }
  bool Becomes(const std::string& service, const std::string& state) {
    return AskUntil(socket_, Backend(service),
                    [&](const Json& backend) { return backend["state"] == state; });
  }
  Json Show(const std::string& target) { return Ask(socket_, "GET", target).json(); }
  // The reason of the backend of `web`.
  std::string Reason() { return Show(Backend("web"))["reason"].get<std::string>(); }
  static std::string Backend(const std::string& service) {
    return "/v1/services/" + service + "/backends/10.0.0.1";
  }

  const ScopedCheckType coin_{&kCoinCheck};
  TempDir directory_;
  std::string socket_ = directory_.File("control.sock");
  std::string link_ = directory_.File("dataplane.sock");
  FakeDataplane dataplane_{link_};
  std::unique_ptr<RunningDaemon> daemon_;
};

TEST_F(CoinDaemonTest, DecidesWhichBackendsTheDataplaneGets) {
  Add(Service("web", 1, ""));
  ASSERT_TRUE(Becomes("web", "healthy"));
  EXPECT_THAT(Reason(), HasSubstr("coin check passes"));
  EXPECT_TRUE(dataplane_.WaitForState("10.0.0.1", BackendState::kActive));
  shown = kTails;
  ASSERT_TRUE(Becomes("web", "unhealthy"));
  EXPECT_THAT(Reason(), HasSubstr("2 coin checks failed in a row: the coin shows tails"));
  EXPECT_TRUE(dataplane_.WaitForState("10.0.0.1", BackendState::kDown));
}

TEST_F(CoinDaemonTest, ServicesWithOtherSettingsAreCheckedSeparately) {
  Add(Service("heads", 1, R"(, "wins": "heads")"));
  Add(Service("tails", 2, R"(, "wins": "tails")"));
  EXPECT_TRUE(Becomes("heads", "healthy"));
  EXPECT_TRUE(Becomes("tails", "unhealthy"));
}

TEST_F(CoinDaemonTest, SurvivesARestart) {
  shown = kTails;
  Add(Service("web", 1, R"(, "tosses": 3)"));
  ASSERT_TRUE(Becomes("web", "unhealthy"));
  Start();
  const Json backend = Show(Backend("web"));
  EXPECT_EQ(backend["state"], "unhealthy")
      << "the state must come from the store or from a new check";
  EXPECT_THAT(Reason(), HasSubstr("the coin shows tails"));
  EXPECT_EQ(Show("/v1/services/web")["health_check"]["tosses"], 3);
  shown = kHeads;
  EXPECT_TRUE(Becomes("web", "healthy"));
}

TEST_F(CoinDaemonTest, ItsSettingsGoWhenTheCheckTypeChanges) {
  Add(Service("web", 1, ""));
  const Answer changed =
      Ask(socket_, "PATCH", "/v1/services/web", R"({"health_check": {"type": "none"}})");
  ASSERT_EQ(changed.status, 200) << changed.body;
  EXPECT_FALSE(changed.json()["health_check"].contains("wins"));
  EXPECT_TRUE(Becomes("web", "unchecked"));
}

class CoinStatusTest : public CoreTest {
 protected:
  const ScopedCheckType coin_{&kCoinCheck};
};

TEST_F(CoinStatusTest, TheResultOfACheckIsStoredWithItsType) {
  ASSERT_TRUE(Apply(AddService(ParseServiceSpec(Service("web", 1, "")))).ok());
  const CheckResult verdict{CheckOutcome::kFailed, kTails, 0, 2, kCoinCheck.number};
  board_->SetHealth(Backend("web", "10.0.0.1")->id, HealthState::kUnhealthy, verdict);
  WriteStatus();
  Open();
  EXPECT_EQ(StatusOf("web", "10.0.0.1").health.verdict, verdict);
}

}  // namespace
}  // namespace fairlead
