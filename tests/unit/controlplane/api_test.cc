// The API over its real socket, with a fake dataplane.
#include <filesystem>
#include <fstream>
#include <map>

#include <gmock/gmock.h>

#include "controlplane/common/log.h"
#include "tests/unit/controlplane/fake_dataplane.h"
#include "tests/unit/controlplane/http_client.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

constexpr const char* kWeb = R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
    "health_check": {"type": "none"},
    "backends": [{"address": "10.0.0.1", "mac": "02:00:00:00:00:01"},
                 {"address": "10.0.0.2", "mac": "02:00:00:00:00:02", "weight": 3}]})";

class ApiTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(ConfigureLog("text", "off").ok()); }

  DaemonOptions Options() const {
    DaemonOptions options;
    options.socket_path = socket_;
    options.store_path = directory_.File("store.db");
    options.link_path = link_;
    options.follow_neighbours = false;
    return options;
  }
  void Start() {
    daemon_ = std::make_unique<RunningDaemon>(Options());
    ASSERT_TRUE(daemon_->start_status().ok()) << daemon_->start_status().message();
  }
  void StartWithDataplane() {
    dataplane_ = std::make_unique<FakeDataplane>(link_);
    Start();
    ASSERT_TRUE(AskUntil(socket_, "/v1/status", [](const Json& status) {
      return status["dataplane"]["connected"] == true;
    }));
  }
  Answer Call(const std::string& method, const std::string& target, const std::string& body = {}) {
    return Ask(socket_, method, target, body);
  }
  void AddWeb() { ASSERT_EQ(Call("POST", "/v1/services", kWeb).status, 201); }

  TempDir directory_;
  std::string socket_ = directory_.File("control.sock");
  std::string link_ = directory_.File("dataplane.sock");
  std::unique_ptr<FakeDataplane> dataplane_;
  std::unique_ptr<RunningDaemon> daemon_;
};

TEST_F(ApiTest, ServiceIsCreatedShownListedReplacedAndRemoved) {
  Start();
  const Answer created = Call("POST", "/v1/services", kWeb);
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(created.json()["generation"], 1);
  EXPECT_EQ(created.json()["in_force"], false) << "no dataplane is connected";
  EXPECT_EQ(Call("GET", "/v1/services/web").json()["backends"].size(), 2U);
  EXPECT_EQ(Call("GET", "/v1/services").json()["services"][0]["name"], "web");
  const Answer replaced = Call("PUT", "/v1/services/web", R"({"name": "web", "hash": "source-ip",
      "frontends": ["203.0.113.10:80/tcp"], "backends": ["10.0.0.2"]})");
  EXPECT_EQ(replaced.status, 200) << replaced.body;
  EXPECT_EQ(replaced.json()["hash"], "source-ip");
  const Answer removed = Call("DELETE", "/v1/services/web");
  EXPECT_EQ(removed.status, 204);
  EXPECT_THAT(removed.headers, HasSubstr("Fairlead-Generation: 3"));
  EXPECT_EQ(Call("GET", "/v1/services/web").status, 404);
  EXPECT_EQ(Call("DELETE", "/v1/services/web").status, 404);
}

TEST_F(ApiTest, ErrorsNameCodeFieldAndValue) {
  Start();
  AddWeb();
  struct Row {
    const char* method;
    const char* target;
    const char* body;
    int status;
    const char* code;
    const char* field;
  };
  const Row rows[] = {
      {"POST", "/v1/services", kWeb, 409, "already_exists", ""},
      {"POST", "/v1/services", R"({"name": "x"})", 400, "invalid_argument", "frontends"},
      {"POST", "/v1/services", R"({"name": "X", "frontends": ["203.0.113.11:80/tcp"]})", 400,
       "invalid_argument", "name"},
      {"POST", "/v1/services",
       R"({"name": "x", "frontends": ["203.0.113.11:80/tcp"], "colour": 1})", 400,
       "invalid_argument", "colour"},
      {"PUT", "/v1/services/web", R"({"name": "other", "frontends": ["203.0.113.10:80/tcp"]})", 400,
       "invalid_argument", "name"},
      {"POST", "/v1/services/web/backends", R"({"address": "10.0.0.3", "weight": 1001})", 400,
       "invalid_argument", "weight"},
      {"POST", "/v1/services/web/backends", R"({"backends": ["10.0.0.3", "nonsense"]})", 400,
       "invalid_argument", "backends[1]"},
      {"POST", "/v1/services/web/backends", R"({"backends": ["10.0.0.3", {"weight": 1}]})", 400,
       "invalid_argument", "backends[1].address"},
      {"POST", "/v1/services/web/backends", R"({"backends": []})", 400, "invalid_argument",
       "backends"},
      {"POST", "/v1/services/nobody/backends", R"("10.0.0.3")", 404, "not_found", ""},
      {"PATCH", "/v1/services/web/backends/10.0.0.1", R"({"weight": -1})", 400, "invalid_argument",
       "weight"},
      {"PATCH", "/v1/services/web/backends/10.0.0.1", R"({"port": 81})", 400, "invalid_argument",
       "port"},
      {"PATCH", "/v1/services/web/backends/10.0.0.9", R"({"weight": 1})", 404, "not_found", ""},
      {"GET", "/v1/services/web/backends/rubbish", "", 400, "invalid_argument", ""},
      {"PUT", "/v1/services/web/backends/10.0.0.1/drain", R"({"timeout": 60})", 400,
       "invalid_argument", "timeout"},
      {"PUT", "/v1/services/web/backends/10.0.0.1/drain", R"({"timeout": "2h"})", 400,
       "invalid_argument", "timeout"},
      {"DELETE", "/v1/services/web/backends/10.0.0.1/drain", "", 404, "not_found", ""},
      {"GET", "/v1/services/web/backends/10.0.0.1/drain", "", 404, "not_found", ""},
      {"POST", "/v1/explain", R"({"protocol": "icmp", "source": "1.2.3.4:5",
        "destination": "203.0.113.10:80"})",
       400, "invalid_argument", "protocol"},
      {"POST", "/v1/explain", R"({"protocol": "tcp", "source": "1.2.3.4",
        "destination": "203.0.113.10:80"})",
       400, "invalid_argument", "source"},
      {"POST", "/v1/explain", R"({"protocol": "tcp", "source": "1.2.3.4:5",
        "destination": "[2001:db8::1]:80"})",
       400, "invalid_argument", "source"},
      {"GET", "/v1/services?all=1", "", 400, "invalid_argument", ""},
      {"GET", "/v2/services", "", 404, "not_found", ""},
      {"DELETE", "/v1/status", "", 405, "invalid_argument", ""},
  };
  for (const Row& row : rows) {
    const Answer answer = Call(row.method, row.target, row.body);
    SCOPED_TRACE(std::string(row.method) + " " + row.target + " " + row.body + ": " + answer.body);
    EXPECT_EQ(answer.status, row.status);
    ASSERT_TRUE(answer.json().is_object());
    EXPECT_EQ(answer.json()["error"]["code"], row.code);
    EXPECT_EQ(answer.json()["error"].value("field", ""), row.field);
    EXPECT_FALSE(answer.json()["error"]["message"].get<std::string>().empty());
  }
  EXPECT_EQ(Call("GET", "/v1/status").json()["generation"], 1)
      << "a refused request must change nothing";
}

TEST_F(ApiTest, MalformedJsonIsRefused) {
  Start();
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  for (const std::string& body :
       {std::string("{"), std::string(), std::string("{\"name\": \"a\", \"name\": \"b\"}"), deep,
        std::string("{\"name\": \"\xff\"}"), std::string("[1e999999]"), std::string("{} {}"),
        std::string("nul"), std::string("\0", 1)}) {
    const Answer answer = Call("POST", "/v1/services", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(answer.json()["error"]["code"], "invalid_argument") << body;
  }
}

TEST_F(ApiTest, BatchIsAllOrNothing) {
  Start();
  AddWeb();
  EXPECT_EQ(Call("POST", "/v1/services/web/backends",
                 R"({"backends": ["10.0.0.3", "10.0.0.4", "10.0.0.1"]})")
                .status,
            409);
  EXPECT_EQ(Call("GET", "/v1/services/web/backends").json()["backends"].size(), 2U);
  const Answer added =
      Call("POST", "/v1/services/web/backends", R"({"backends": ["10.0.0.3", "10.0.0.4:80"]})");
  EXPECT_EQ(added.status, 201);
  EXPECT_EQ(added.json()["backends"].size(), 2U);
  EXPECT_EQ(added.json()["generation"], 2);
}

TEST_F(ApiTest, BackendsAreFoundByAnySpellingOfTheirEndpoint) {
  Start();
  ASSERT_EQ(Call("POST", "/v1/services", R"({"name": "six", "health_check": {"type": "none"},
      "frontends": ["[2001:db8::10]:80/tcp"], "backends": ["2001:db8:1::11"]})")
                .status,
            201);
  for (const char* name :
       {"2001:db8:1::11", "%5B2001:db8:1::11%5D:80", "[2001:db8:1::11]:80", "2001:DB8:1:0::11"}) {
    EXPECT_EQ(Call("GET", std::string("/v1/services/six/backends/") + name).status, 200) << name;
  }
  EXPECT_EQ(Call("GET", "/v1/services/six/backends/%5B2001:db8:1::11%5D:81").status, 404);
}

TEST_F(ApiTest, ChangeIsAcknowledgedWhenItIsInForce) {
  StartWithDataplane();
  const Answer created = Call("POST", "/v1/services", kWeb);
  EXPECT_EQ(created.json()["in_force"], true);
  EXPECT_EQ(dataplane_->generation(), 1U);
  EXPECT_EQ(dataplane_->StateOf("10.0.0.1"), BackendState::kActive);
  const Answer removed = Call("DELETE", "/v1/services/web/backends/10.0.0.1");
  EXPECT_THAT(removed.headers, HasSubstr("Fairlead-In-Force: true"));
  EXPECT_EQ(dataplane_->StateOf("10.0.0.1"), std::nullopt);
  const Json status = Call("GET", "/v1/status").json();
  EXPECT_EQ(status["dataplane"]["generation"], 2);
  EXPECT_EQ(status["dataplane"]["pid"], 4242);
  EXPECT_EQ(status["dataplane"]["applied_us"], 250);
  EXPECT_EQ(status["dataplane"]["error"], "");
  EXPECT_EQ(status["backends"]["unchecked"], 1);
}

TEST_F(ApiTest, RefusedSnapshotIsReportedAndTheChangeStays) {
  StartWithDataplane();
  AddWeb();
  dataplane_->SetRefusal("no space left");
  const Answer added = Call("POST", "/v1/services/web/backends", R"("10.0.0.3")");
  EXPECT_EQ(added.status, 201);
  EXPECT_EQ(added.json()["in_force"], false);
  EXPECT_EQ(Call("GET", "/v1/status").json()["dataplane"]["error"], "no space left");
  dataplane_->SetRefusal("");
  EXPECT_TRUE(dataplane_->WaitForGeneration(2)) << "the refused snapshot must be published again";
  EXPECT_TRUE(AskUntil(socket_, "/v1/status",
                       [](const Json& status) { return status["dataplane"]["error"] == ""; }));
}

TEST_F(ApiTest, DrainCountsDownToDrainedAndUndrainEndsIt) {
  StartWithDataplane();
  AddWeb();
  dataplane_->SetFlows(4);
  const std::string drain = "/v1/services/web/backends/10.0.0.1/drain";
  const Answer started = Call("PUT", drain, R"({"timeout": "60s"})");
  EXPECT_EQ(started.status, 200);
  EXPECT_EQ(started.json()["state"], "draining");
  EXPECT_EQ(started.json()["in_force"], true);
  EXPECT_EQ(dataplane_->StateOf("10.0.0.1"), BackendState::kDraining);
  EXPECT_TRUE(
      AskUntil(socket_, drain, [](const Json& view) { return view["remaining_flows"] == 4; }));
  EXPECT_EQ(Call("GET", "/v1/services/web/backends/10.0.0.1").json()["state"], "draining");
  dataplane_->SetFlows(0);
  EXPECT_TRUE(
      AskUntil(socket_, drain, [](const Json& view) { return view["state"] == "drained"; }));
  const Json over = Call("GET", drain).json();
  EXPECT_EQ(over["reason"], "no flows remain");
  EXPECT_EQ(over["remaining_flows"], 0);
  EXPECT_EQ(Call("GET", "/v1/status").json()["backends"]["drained"], 1);
  const Answer undrained = Call("DELETE", drain);
  EXPECT_EQ(undrained.status, 200);
  EXPECT_EQ(undrained.json()["state"], "unchecked");
  EXPECT_EQ(undrained.json()["drain"], nullptr);
  EXPECT_EQ(dataplane_->StateOf("10.0.0.1"), BackendState::kActive);
}

TEST_F(ApiTest, DeadlineReleasesTheFlowsThatRemain) {
  StartWithDataplane();
  AddWeb();
  dataplane_->SetFlows(4);
  const std::string drain = "/v1/services/web/backends/10.0.0.1/drain";
  ASSERT_EQ(Call("PUT", drain, R"({"timeout": "0s"})").status, 200);
  EXPECT_TRUE(
      AskUntil(socket_, drain, [](const Json& view) { return view["state"] == "drained"; }));
  EXPECT_EQ(Call("GET", drain).json()["reason"], "deadline passed");
  EXPECT_TRUE(dataplane_->WaitForState("10.0.0.1", BackendState::kDown));
}

TEST_F(ApiTest, StatsAndMetricsShowTheDataplanesCounters) {
  StartWithDataplane();
  AddWeb();
  ASSERT_TRUE(AskUntil(socket_, "/v1/stats", [](const Json& stats) {
    return stats["services"].size() == 1 && stats["services"][0]["packets"] == 90;
  }));
  const Json stats = Call("GET", "/v1/stats").json();
  EXPECT_EQ(stats["totals"]["rx"], 100);
  EXPECT_EQ(stats["totals"]["drops"], Json({{"no_frontend", 10}}));
  EXPECT_EQ(stats["services"][0]["backends"][0]["packets"], 45);
  EXPECT_EQ(stats["services"][0]["backends"][0]["new_flows"], 7);
  EXPECT_EQ(stats["ports"], Json::parse(R"([
      {"name": "wan", "interface": "eth0",
       "steering": {"attached": true, "to_dataplane": 60, "to_kernel": 30, "no_socket": 2},
       "link": {"up": true, "speed_mbps": 25000, "changes": 2}},
      {"name": "lan", "interface": "lan0",
       "kernel_path": {"delivered": 5, "lost": 1, "received": 9, "sent": 8, "unsent": 1},
       "nic": {"rx_missed": 11, "rx_errors": 12, "rx_no_buffer": 13, "tx_errors": 14}}])"));
  EXPECT_EQ(stats["dataplane"]["workers"], 2);
  EXPECT_EQ(stats["dataplane"]["longest_pauses_us"], Json({1500, 250}));
  EXPECT_EQ(stats["dataplane"]["rx_by_worker"], Json({60, 40}));
  const Answer metrics = Call("GET", "/metrics");
  EXPECT_THAT(metrics.headers, HasSubstr("text/plain; version=0.0.4"));
  for (const char* line :
       {"fairlead_packets_total{direction=\"rx\"} 100\n",
        "fairlead_drops_total{reason=\"no_frontend\"} 10\n",
        "fairlead_service_packets_total{service=\"web\"} 90\n",
        "fairlead_backend_packets_total{service=\"web\",backend=\"10.0.0.1\"} 45\n",
        "fairlead_backend_healthy{service=\"web\",backend=\"10.0.0.1\"} 1\n",
        "fairlead_steering_attached{port=\"wan\"} 1\n",
        "fairlead_steered_frames_total{port=\"wan\",outcome=\"to_dataplane\"} 60\n",
        "fairlead_steered_frames_total{port=\"wan\",outcome=\"no_socket\"} 2\n",
        "fairlead_kernel_path_frames_total{port=\"lan\",outcome=\"lost\"} 1\n",
        "fairlead_kernel_path_frames_total{port=\"lan\",outcome=\"received\"} 9\n",
        "fairlead_port_link_up{port=\"wan\"} 1\n",
        "fairlead_port_link_changes_total{port=\"wan\"} 2\n",
        "fairlead_port_nic_missed_total{port=\"lan\"} 11\n",
        "fairlead_port_nic_errors_total{port=\"lan\",direction=\"rx\"} 12\n",
        "fairlead_port_nic_errors_total{port=\"lan\",direction=\"tx\"} 14\n",
        "fairlead_port_nic_no_buffer_total{port=\"lan\"} 13\n",
        "fairlead_worker_longest_pause_seconds{worker=\"0\"} 0.0015\n",
        "fairlead_worker_longest_pause_seconds{worker=\"1\"} 0.00025\n",
        "fairlead_worker_rx_packets_total{worker=\"1\"} 40\n",
        "fairlead_generation 1\n",
        "fairlead_dataplane_generation 1\n",
        "fairlead_dataplane_apply_seconds 0.00025\n",
        "fairlead_api_requests_total{method=\"POST\",route=\"/v1/services\",status=\"201\"} 1\n"}) {
    EXPECT_THAT(metrics.body, HasSubstr(line));
  }
}

constexpr const char* kFlow =
    R"({"protocol": "tcp", "source": "198.51.100.7:40000", "destination": "203.0.113.10:80"})";

TEST_F(ApiTest, ExplainWorksWithoutADataplane) {
  Start();
  EXPECT_EQ(Call("POST", "/v1/explain", kFlow).json()["error"]["code"], "failed_precondition");
  AddWeb();
  const Json answer = Call("POST", "/v1/explain", kFlow).json();
  EXPECT_EQ(answer["verdict"], "forward");
  EXPECT_THAT(std::string(answer["why"]), HasSubstr(" No dataplane is connected, so"));
  EXPECT_EQ(answer["service"], "web");
  EXPECT_EQ(answer["record"], nullptr);
  EXPECT_LT(answer["slot"].get<int>(), 65537);
  EXPECT_EQ(Call("POST", "/v1/explain", R"({"protocol": "udp", "source": "198.51.100.7:40000",
                "destination": "203.0.113.10:80"})")
                .json()["drop_reason"],
            "no_frontend");
  EXPECT_EQ(Call("POST", "/v1/explain", R"({"protocol": "udp", "source": "198.51.100.7:40000",
                "destination": "192.0.2.1:80"})")
                .json()["verdict"],
            "to_kernel");
}

TEST_F(ApiTest, ExplainFollowsTheFlowsRecord) {
  const ServiceSpec web = ParseServiceSpec(kWeb);
  for (const BackendSpec& backend : web.backends) {
    FakeDataplane::Behaviour behaviour;
    behaviour.flow = {.found = true,
                      .backend_id = ProposeBackendId("web", backend.endpoint, 0),
                      .age_ms = 1500,
                      .flags = 2,
                      .slot_known = true,
                      .slot_state = 2 /* pinned */,
                      .current_id = 0,
                      .stable_id = 0};
    daemon_.reset();
    std::filesystem::remove(directory_.File("store.db"));
    std::filesystem::remove(directory_.File("store.db.acknowledged"));
    dataplane_ = std::make_unique<FakeDataplane>(link_, behaviour);
    Start();
    AddWeb();
    ASSERT_TRUE(dataplane_->WaitForGeneration(1));
    const Json answer = Call("POST", "/v1/explain", kFlow).json();
    EXPECT_EQ(answer["backend"], backend.endpoint.ToString()) << answer;
    EXPECT_EQ(answer["record"]["age_ms"], 1500);
    EXPECT_EQ(answer["slot_state"], "pinned");
  }
}

TEST_F(ApiTest, ServicesFileIsImportedOnceOnly) {
  std::ofstream(directory_.File("services.yaml")) << R"(
hash_seed: 99
services:
  - name: web
    frontends: [203.0.113.10:80/tcp]
    backends: [10.0.0.1]
)";
  DaemonOptions options = Options();
  options.services_path = directory_.File("services.yaml");
  daemon_ = std::make_unique<RunningDaemon>(options);
  ASSERT_TRUE(daemon_->start_status().ok()) << daemon_->start_status().message();
  EXPECT_EQ(Call("GET", "/v1/services").json()["services"].size(), 1U);
  ASSERT_EQ(Call("DELETE", "/v1/services/web").status, 204);
  daemon_ = nullptr;
  daemon_ = std::make_unique<RunningDaemon>(options);
  EXPECT_EQ(Call("GET", "/v1/services").json()["services"].size(), 0U);
}

TEST_F(ApiTest, ADaemonWhoseSocketIsInUseImportsNothing) {
  Start();
  std::ofstream(directory_.File("services.yaml"))
      << "services: [{name: web, frontends: ['203.0.113.10:80/tcp']}]";
  DaemonOptions options = Options();
  options.services_path = directory_.File("services.yaml");
  options.store_path = directory_.File("other.db");
  {
    const RunningDaemon refused(options);
    EXPECT_FALSE(refused.start_status().ok());
  }
  EXPECT_EQ((*(*Store::Open(options.store_path))->Load()).intent.revision, 0U);
}

TEST_F(ApiTest, PatchOfAServiceChangesOnlyTheFieldsThatItNames) {
  Start();
  AddWeb();
  const Json before = Call("GET", "/v1/services/web").json();
  const Answer changed =
      Call("PATCH", "/v1/services/web", R"({"drain_timeout": "90s", "health_check": {"rise": 7}})");
  ASSERT_EQ(changed.status, 200) << changed.body;
  Json expected = before;
  expected["drain_timeout"] = "90s";
  expected["health_check"]["rise"] = 7;
  EXPECT_EQ(Call("GET", "/v1/services/web").json(), expected);
  ASSERT_EQ(Call("PATCH", "/v1/services/web", R"({"drain_timeout": null})").status, 200);
  EXPECT_EQ(Call("GET", "/v1/services/web").json()["drain_timeout"], "300s");
  ASSERT_EQ(Call("PATCH", "/v1/services/web", R"({"forwarding": "gue"})").status, 200);
  EXPECT_EQ(Call("GET", "/v1/services/web").json()["gue_port"], 6080);
  ASSERT_EQ(Call("PATCH", "/v1/services/web", R"({"forwarding": "ipip"})").status, 200);
  for (const auto& [body, reason] :
       std::map<std::string, std::string>{{R"({"name": "other"})", "a service keeps its name"},
                                          {R"({"backends": []})", "one by one below /backends"},
                                          {R"({"hash": "7-tuple"})", "is not one of"},
                                          {R"({"frontends": null})", "frontends"},
                                          {"{}", "with a setting to change"},
                                          {"[]", "with a setting to change"}}) {
    const Answer refused = Call("PATCH", "/v1/services/web", body);
    EXPECT_EQ(refused.status, 400U) << body;
    EXPECT_THAT(refused.body, HasSubstr(reason)) << body;
  }
  EXPECT_EQ(Call("PATCH", "/v1/services/none", R"({"hash": "3-tuple"})").status, 404U);
}

TEST_F(ApiTest, MinHealthyIsShownAndAMinimumAboveTheBackendsIsAWarning) {
  Start();
  AddWeb();
  Json service = Call("GET", "/v1/services/web").json();
  EXPECT_EQ(service["min_healthy"], 0);
  EXPECT_EQ(service["health"], Json({{"healthy", 2},
                                     {"counted", 2},
                                     {"min_healthy", 0},
                                     {"below_min_healthy", false},
                                     {"since", nullptr},
                                     {"used", "healthy"}}));
  service = Call("PATCH", "/v1/services/web", R"({"min_healthy": 3})").json();
  EXPECT_EQ(service["warnings"][0],
            "min_healthy 3 is above the number of backends that take new flows, 2: the service "
            "counts as down as soon as one of them is not healthy");
  EXPECT_EQ(service["health"]["min_healthy"], 2);
  service = Call("PATCH", "/v1/services/web", R"({"min_healthy": "60%"})").json();
  EXPECT_EQ(service["warnings"], Json::array());
  EXPECT_EQ(service["health"]["min_healthy"], 2);
  EXPECT_TRUE(service["health"]["since"].is_string());
  EXPECT_THAT(Call("GET", "/metrics").body,
              AllOf(HasSubstr("fairlead_service_healthy_backends{service=\"web\"} 2"),
                    HasSubstr("fairlead_service_min_healthy{service=\"web\"} 2"),
                    HasSubstr("fairlead_service_below_min_healthy{service=\"web\"} 0")));
}

TEST_F(ApiTest, UnknownMethodsAreCountedAsOther) {
  Start();
  for (const char* method : {"FANCY", "FANCIER"}) {
    EXPECT_GE(Call(method, "/v1/status").status, 400U);
  }
  const std::string metrics = Call("GET", "/metrics").body;
  EXPECT_EQ(metrics.find("FANC"), std::string::npos) << metrics;
  EXPECT_THAT(metrics, HasSubstr("fairlead_api_requests_total{method=\"other\""));
}

TEST_F(ApiTest, BadServicesFileStopsTheStartAndLeavesTheStoreUnconfigured) {
  std::ofstream(directory_.File("services.yaml"))
      << "services: [{name: web, frontends: [nonsense]}]";
  DaemonOptions options = Options();
  options.services_path = directory_.File("services.yaml");
  {
    const RunningDaemon refused(options);
    EXPECT_THAT(refused.start_status().message(), HasSubstr("services[0].frontends[0]"));
    EXPECT_FALSE(std::filesystem::exists(socket_));
  }
  Start();
  EXPECT_EQ(Call("GET", "/v1/status").json()["generation"], 0);
}

TEST_F(ApiTest, AcknowledgedChangesSurviveAKill) {
  Start();
  AddWeb();
  ASSERT_EQ(Call("PUT", "/v1/services/web/backends/10.0.0.2/drain").status, 200);
  ASSERT_EQ(Call("PATCH", "/v1/services/web/backends/10.0.0.1", R"({"weight": 9})").status, 200);
  const Json before = Call("GET", "/v1/services/web").json();
  daemon_->Abandon();
  daemon_ = nullptr;
  Start();
  Json after = Call("GET", "/v1/services/web").json();
  EXPECT_EQ(after, before);
  EXPECT_EQ(Call("GET", "/v1/status").json()["generation"], 3);
}

TEST_F(ApiTest, SecondDaemonIsRefusedAndTheFirstContinues) {
  Start();
  const RunningDaemon second(Options());
  EXPECT_EQ(second.start_status().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(Call("GET", "/v1/status").status, 200);
}

TEST_F(ApiTest, StopRemovesTheSocket) {
  Start();
  daemon_->Stop();
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

// A TCP check would report every UDP server as unhealthy.
TEST_F(ApiTest, AUdpServiceHasNoCheckByDefaultAndAWarning) {
  StartWithDataplane();
  const Answer added = Call("POST", "/v1/services", R"({"name": "dns",
      "frontends": ["203.0.113.10:53/udp"], "backends": ["10.0.0.1"]})");
  ASSERT_EQ(added.status, 201) << added.body;
  const Json service = added.json();
  EXPECT_EQ(service["health_check"]["type"], "none");
  EXPECT_EQ(service["backends"][0]["state"], "unchecked");
  ASSERT_EQ(service["warnings"].size(), 1U);
  EXPECT_THAT(std::string(service["warnings"][0]), HasSubstr("no health check"));
  EXPECT_EQ(dataplane_->StateOf("10.0.0.1"), BackendState::kActive);
  // Not if the request asks for no check, or if the service has a TCP frontend too. That service
  // has a check, which this dataplane does not send.
  EXPECT_EQ(Call("PUT", "/v1/services/dns", R"({"name": "dns",
      "frontends": ["203.0.113.10:53/udp"], "health_check": {"type": "none"}})")
                .json()["warnings"],
            Json::array());
  const Json both = Call("POST", "/v1/services", R"({"name": "both",
      "frontends": ["203.0.113.11:53/udp", "203.0.113.11:53/tcp"]})")
                        .json();
  EXPECT_EQ(both["health_check"]["type"], "tcp");
  ASSERT_EQ(both["warnings"].size(), 1U);
  EXPECT_THAT(std::string(both["warnings"][0]),
              HasSubstr("health checks are direct, not through the dataplane"));
  // A TCP check needs the port of a TCP server.
  const Answer refused = Call("PATCH", "/v1/services/dns", R"({"health_check": {"type": "tcp"}})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("health_check.port: missing"));
  EXPECT_EQ(
      Call("PATCH", "/v1/services/dns", R"({"health_check": {"type": "tcp", "port": 53}})").status,
      200);
}

}  // namespace
}  // namespace fairlead
