// The dataplane is of another release than the control plane.
#include <thread>

#include <gmock/gmock.h>

#include "tests/unit/controlplane/daemon_test.h"
#include "tests/unit/controlplane/fake_dataplane.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class VersionsTest : public DaemonTest {
 protected:
  // Returns what explain says about a packet to `port` of 203.0.113.10.
  std::string Why(const std::string& port) {
    return Call("POST", "/v1/explain",
                R"({"protocol": "tcp", "source": "198.51.100.7:40000",
                    "destination": "203.0.113.10:)" +
                    port + "\"}")
        .json()["why"];
  }
  static FakeDataplane::Behaviour Release010() {
    FakeDataplane::Behaviour behaviour;
    behaviour.hello.snapshot_version = 2;
    return behaviour;
  }
};

TEST_F(VersionsTest, ADataplaneOfRelease010GetsAndSendsItsOwnFormats) {
  FakeDataplane dataplane(link_, Release010());
  Start();
  ASSERT_TRUE(WaitConnected());
  EXPECT_EQ(Call("POST", "/v1/services", kWeb).json()["in_force"], true);
  EXPECT_EQ(
      Call("PATCH", "/v1/services/web/backends/10.0.0.1", R"({"weight": 7})").json()["in_force"],
      true);
  EXPECT_TRUE(WaitForStatus([](const Json& view) {
    return view["connected"] == true && view["release"] == "0.1.0" && view["workers"] == 2;
  }));
  ASSERT_TRUE(dataplane.WaitForStats(2));
  const Json stats = Call("GET", "/v1/stats").json();
  EXPECT_EQ(stats["totals"]["rx"], 100);
  EXPECT_EQ(stats["totals"]["drops"]["no_frontend"], 10);
  EXPECT_EQ(stats["services"][0]["packets"], 90);
  const Answer why = Call("POST", "/v1/explain", R"({"protocol": "tcp",
      "source": "198.51.100.7:40000", "destination": "203.0.113.10:80"})");
  EXPECT_EQ(why.json()["backend"], "10.0.0.1");
}

TEST_F(VersionsTest, ARestartDoesNotPublishWhatAnOldDataplaneHas) {
  FakeDataplane dataplane(link_, Release010());
  Start();
  ASSERT_TRUE(WaitConnected());
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).json()["in_force"], true);
  daemon_->Abandon();
  daemon_ = nullptr;
  Start();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["generation"] == 1; }));
  EXPECT_EQ(dataplane.publish_count(), 1U) << "only the first process may publish";
}

TEST_F(VersionsTest, LeavesOutAndNamesWhatAnOldDataplaneDoesNotKnow) {
  auto dataplane = std::make_unique<FakeDataplane>(link_, Release010());
  Start();
  ASSERT_TRUE(WaitConnected());
  const Answer added = Call("POST", "/v1/services",
                            R"({"name": "web", "on_no_backend": "reset", "outlier": "eject",
                                "frontends": ["203.0.113.10:80/tcp", "203.0.113.10:8000-8099/tcp"],
                                "health_check": {"type": "none"},
                                "backends": [{"address": "10.0.0.1", "mac": "02:00:00:00:00:01"}]})");
  ASSERT_EQ(added.status, 201);
  EXPECT_EQ(added.json()["in_force"], false) << "one frontend is left out";
  EXPECT_THAT(dataplane->FrontendsInForce(), ElementsAre("203.0.113.10:80/tcp"));
  const Json status = Call("GET", "/v1/status").json();
  ASSERT_EQ(status["left_out_frontends"].size(), 1U);
  EXPECT_EQ(status["left_out_frontends"][0]["service"], "web");
  EXPECT_EQ(status["left_out_frontends"][0]["frontend"], "203.0.113.10:8000-8099/tcp");
  EXPECT_EQ(status["left_out_frontends"][0]["code"], "older_dataplane");
  ASSERT_EQ(status["dataplane"]["unsupported"].size(), 2U);
  EXPECT_EQ(status["dataplane"]["unsupported"][0]["service"], "web");
  EXPECT_EQ(status["dataplane"]["unsupported"][0]["field"], "on_no_backend");
  EXPECT_EQ(status["dataplane"]["unsupported"][1]["field"], "outlier");
  EXPECT_EQ(Call("GET", "/v1/services/web").json()["left_out_frontends"][0]["code"],
            "older_dataplane");
  EXPECT_THAT(Call("GET", "/metrics").body, HasSubstr("fairlead_frontends_left_out 1"));
  EXPECT_THAT(Why("8001"), HasSubstr("is left out: it is a port range"));
  EXPECT_THAT(Why("80"), testing::Not(HasSubstr("is left out")));
  EXPECT_THAT(Why("9000"), testing::Not(HasSubstr("is left out")));

  dataplane = nullptr;
  dataplane = std::make_unique<FakeDataplane>(link_);
  ASSERT_TRUE(WaitForStatus([](const Json& view) {
    return view["connected"] == true && view["generation"] != 0 && view["unsupported"].empty();
  }));
  EXPECT_THAT(dataplane->FrontendsInForce(),
              ElementsAre("203.0.113.10:80/tcp", "203.0.113.10:8000-8099/tcp"));
  EXPECT_TRUE(Call("GET", "/v1/status").json()["left_out_frontends"].empty());
}

// While the range is left out, another service gets its clients.
TEST_F(VersionsTest, ExplainNamesALeftOutRangeThatAnotherServiceGetsNow) {
  FakeDataplane dataplane(link_, Release010());
  Start();
  ASSERT_TRUE(WaitConnected());
  const auto add = [&](const std::string& name, const std::string& frontends) {
    return Call("POST", "/v1/services",
                R"({"name": ")" + name + R"(", "health_check": {"type": "none"}, "frontends": [)" +
                    frontends + R"(], "backends": [{"address": "10.0.0.1",
                                                    "mac": "02:00:00:00:00:01"}]})")
        .status;
  };
  ASSERT_EQ(add("all", R"("203.0.113.10:0/tcp", "203.0.113.10:8080/tcp")"), 201);
  ASSERT_EQ(add("range", R"("203.0.113.10:8000-8099/tcp")"), 201);
  EXPECT_THAT(Why("8001"), HasSubstr("203.0.113.10:8000-8099/tcp of service range is left out"));
  EXPECT_THAT(Why("8080"), testing::Not(HasSubstr("is left out")));
  EXPECT_THAT(Why("443"), testing::Not(HasSubstr("is left out")));
}

TEST_F(VersionsTest, LeftOutFrontendsAreForgottenWithTheDataplane) {
  auto dataplane = std::make_unique<FakeDataplane>(link_, Release010());
  Start();
  ASSERT_TRUE(WaitConnected());
  ASSERT_EQ(Call("POST", "/v1/services",
                 R"({"name": "web", "frontends": ["203.0.113.10:8000-8099/tcp"]})")
                .status,
            201);
  EXPECT_EQ(Call("GET", "/v1/status").json()["left_out_frontends"].size(), 1U);
  dataplane = nullptr;
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == false; }));
  EXPECT_TRUE(Call("GET", "/v1/status").json()["left_out_frontends"].empty());
}

// An old dataplane does not report its change id, only its generation.
TEST_F(VersionsTest, AnOldDataplaneThatOnlyLostItsLinkDoesNotCountAsDead) {
  Start();
  {
    FakeDataplane dataplane(link_, Release010());
    ASSERT_TRUE(WaitConnected());
    ASSERT_EQ(Call("POST", "/v1/services", kWeb).json()["in_force"], true);
  }
  EXPECT_EQ(Call("PATCH", "/v1/services/web/backends/10.0.0.1", R"({"weight": 7})").status, 200);
  for (uint64_t round = 0; round < 3; ++round) {
    FakeDataplane::Behaviour silent = Release010();
    silent.hello.pid = 100 + round;
    silent.hello.generation = 2 + round;  // the generation that the dataplane before it received
    silent.answer_publish = false;
    FakeDataplane dataplane(link_, silent);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (dataplane.publish_count() == 0 && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ASSERT_EQ(dataplane.publish_count(), 1U) << "in round " << round;
  }
  EXPECT_THAT(std::string(Call("GET", "/v1/status").json()["dataplane"]["error"]),
              testing::Not(HasSubstr("held back")));
}

TEST_F(VersionsTest, ADropReasonOfALaterReleaseIsShownByItsName) {
  FakeDataplane dataplane(link_);
  DataplaneStats stats;
  stats.totals.rx_packets = 7;
  stats.other_drops = {{"of_a_later_release", 7}, {"never_seen", 0}};
  dataplane.SetStats(stats);
  Start();
  ASSERT_TRUE(WaitConnected());
  ASSERT_EQ(Call("POST", "/v1/services", kWeb).json()["in_force"], true);
  ASSERT_TRUE(dataplane.WaitForStats(2));
  const Json drops = Call("GET", "/v1/stats").json()["totals"]["drops"];
  EXPECT_EQ(drops["of_a_later_release"], 7);
  EXPECT_FALSE(drops.contains("never_seen"));
  EXPECT_THAT(Call("GET", "/metrics").body,
              HasSubstr("fairlead_drops_total{reason=\"of_a_later_release\"} 7"));
}

TEST_F(VersionsTest, TheReleaseOfTheDataplaneIsShown) {
  FakeDataplane::Behaviour behaviour;
  behaviour.hello.release = "0.9.0";
  FakeDataplane dataplane(link_, behaviour);
  Start();
  EXPECT_TRUE(WaitForStatus([](const Json& view) { return view["release"] == "0.9.0"; }));
}

TEST_F(VersionsTest, TheStartOfTheDataplaneAndWhatItTookOverAreShown) {
  constexpr int64_t kRunningMs = 86'400'000;
  FakeDataplane::Behaviour behaviour;
  behaviour.hello.running_us = kRunningMs * 1000;
  behaviour.hello.records_taken_over = 3214;
  FakeDataplane dataplane(link_, behaviour);
  const std::string earliest = FormatRfc3339(Clock().WallMs() - kRunningMs);
  Start();
  EXPECT_TRUE(WaitForStatus([](const Json& view) {
    return view["connected"] == true && view["records_taken_over"] == 3214;
  }));
  const std::string latest = FormatRfc3339(Clock().WallMs() - kRunningMs);
  const std::string started_at =
      Call("GET", "/v1/status").json()["dataplane"]["started_at"].get<std::string>();
  EXPECT_GE(started_at, earliest);
  EXPECT_LE(started_at, latest);
}

TEST_F(VersionsTest, ADataplaneThatDoesNotTellItsStartHasNone) {
  FakeDataplane dataplane(link_, FakeDataplane::Behaviour{});
  Start();
  EXPECT_TRUE(WaitForStatus([](const Json& view) {
    return view["connected"] == true && view["started_at"].is_null() &&
           view["records_taken_over"].is_null();
  }));
}

}  // namespace
}  // namespace fairlead
