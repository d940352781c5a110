// Starts fairleadd with a store that fairleadd 0.1.0 wrote.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "controlplane/common/log.h"
#include "tests/unit/controlplane/fake_dataplane.h"
#include "tests/unit/controlplane/http_client.h"
#include "tests/unit/controlplane/support.h"
#include "tests/unit/recorded.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

class RecordedStore : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(ConfigureLog("text", "off").ok());
    std::filesystem::copy_file(testing_recorded::PathOf("store.db"), store_);
    std::filesystem::permissions(store_, std::filesystem::perms(0640));
    options_.socket_path = socket_;
    options_.store_path = store_;
    options_.link_path = link_;
    options_.follow_neighbours = false;
    daemon_ = std::make_unique<RunningDaemon>(options_);
    ASSERT_TRUE(daemon_->start_status().ok()) << daemon_->start_status().message();
  }
  Json Get(const std::string& target) { return Ask(socket_, "GET", target).json(); }

  Json views_ = Json::parse(testing_recorded::Read("views.json"));
  TempDir directory_;
  std::string socket_ = directory_.File("control.sock");
  std::string store_ = directory_.File("store.db");
  std::string link_ = directory_.File("dataplane.sock");
  DaemonOptions options_;
  std::unique_ptr<RunningDaemon> daemon_;
};

// Erases what was observed, because it changes without a request, and what is not part of the
// service.
void EraseObserved(Json* service) {
  for (const char* name : {"slots", "generation", "in_force", "revision"}) service->erase(name);
  for (Json& backend : (*service)["backends"]) {
    for (const char* name : {"state", "reason", "since", "next_hop", "flows", "new_flows", "pins",
                             "packets", "bytes", "drain"}) {
      backend.erase(name);
    }
  }
}

// Every field of `then` is in `now`, with the same value.
void ExpectKept(const Json& then, const Json& now, const std::string& path) {
  if (then.is_object()) {
    for (const auto& [name, value] : then.items()) {
      ASSERT_TRUE(now.contains(name)) << path << "." << name;
      ExpectKept(value, now[name], path + "." + name);
    }
  } else if (then.is_array()) {
    ASSERT_EQ(then.size(), now.size()) << path;
    for (size_t i = 0; i < then.size(); ++i) {
      ExpectKept(then[i], now[i], path + "[" + std::to_string(i) + "]");
    }
  } else {
    EXPECT_EQ(then, now) << path;
  }
}

TEST_F(RecordedStore, KeepsEveryFieldOfItsServices) {
  ASSERT_EQ(views_["services"].size(), 6U);
  for (auto& [name, then] : views_["services"].items()) {
    EraseObserved(&then);
    ExpectKept(then, Get("/v1/services/" + name), name);
  }
  EXPECT_EQ(Get("/v1/services")["services"].size(), 6U);
}

TEST_F(RecordedStore, GetsTheDefaultsOfRelease010WrittenIntoIt) {
  // The service was added without health_check. Today the default for it is no check.
  EXPECT_EQ(Get("/v1/services/dns")["health_check"]["type"], "tcp");
  for (const auto& [name, then] : views_["services"].items()) {
    const Json now = Get("/v1/services/" + name);
    EXPECT_EQ(now["on_no_backend"], "drop") << name;
    if (!then["health_check"].contains("port")) {
      EXPECT_EQ(now["health_check"]["ports"], "first") << name;
    }
    for (const Json& backend : now["backends"]) EXPECT_EQ(backend["owner"], "") << name;
  }
}

TEST_F(RecordedStore, KeepsItsDrains) {
  // The drain was running. Its deadline has passed since, and the service keeps the remaining
  // flows.
  const std::string path = "/v1/services/web/backends/10.0.0.12/drain";
  EXPECT_TRUE(AskUntil(socket_, path, [](const Json& now) { return now["state"] == "drained"; }));
  const Json drain = Get(path);
  const Json& then = views_["services"]["web"]["backends"][1]["drain"];
  EXPECT_EQ(then["state"], "draining");
  EXPECT_EQ(drain["started"], then["started"]);
  EXPECT_EQ(drain["deadline"], then["deadline"]);
  EXPECT_EQ(Get("/v1/services/echo/backends/10.0.0.12/drain")["state"], "drained");
}

TEST_F(RecordedStore, LeavesOutAnAnyPortFrontendOfNatButKeepsItConfigured) {
  const Json any = Get("/v1/services/any");
  EXPECT_EQ(any["frontends"][0], "203.0.113.20:0/tcp");
  ASSERT_EQ(any["left_out_frontends"].size(), 1U);
  EXPECT_EQ(any["left_out_frontends"][0]["code"], "nat_any_port");
  const Json status = Get("/v1/status");
  ASSERT_EQ(status["left_out_frontends"].size(), 1U);
  EXPECT_EQ(status["left_out_frontends"][0]["service"], "any");

  FakeDataplane dataplane(link_);
  ASSERT_TRUE(AskUntil(socket_, "/v1/status", [](const Json& now) {
    return now["dataplane"]["connected"] == true && now["dataplane"]["generation"] != 0;
  }));
  const std::vector<std::string> frontends = dataplane.FrontendsInForce();
  EXPECT_EQ(frontends.size(), 6U);
  EXPECT_EQ(std::ranges::count(frontends, "203.0.113.20:0/tcp"), 0);
  const Answer why = Ask(socket_, "POST", "/v1/explain", R"({"protocol": "tcp",
      "source": "198.51.100.7:40000", "destination": "203.0.113.20:4711"})");
  EXPECT_THAT(std::string(why.json()["why"]),
              testing::HasSubstr("203.0.113.20:0/tcp of service any"));
  // The frontend is used again as soon as its port is allowed.
  EXPECT_EQ(Ask(socket_, "PATCH", "/v1/services/any", R"({"frontends": ["203.0.113.20:80/tcp"]})")
                .json()["left_out_frontends"]
                .size(),
            0U);
  EXPECT_EQ(dataplane.FrontendsInForce().size(), 7U);
}

TEST_F(RecordedStore, IsCopiedBeforeItsMigration) {
  EXPECT_EQ(testing_recorded::Read("store.db").size(),
            std::filesystem::file_size(store_ + ".schema-1"));
}

}  // namespace
}  // namespace fairlead
