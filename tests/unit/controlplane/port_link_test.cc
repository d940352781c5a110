// The links of the dataplane's ports: in the status, the metrics and the watch, and as the reason
// why backends are not checked.
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <gmock/gmock.h>

#include "controlplane/core/status_text.h"
#include "tests/unit/controlplane/daemon_test.h"
#include "tests/unit/controlplane/fake_dataplane.h"

namespace fairlead {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

DataplaneStats WithLink(LinkStats link) {
  DataplaneStats stats;
  stats.ports = {{"wan", "wan0", std::nullopt, std::nullopt, link}, {"null", ""}};
  return stats;
}

class PortLinkTest : public DaemonTest {
 protected:
  void StartWith(LinkStats link) {
    dataplane_ = std::make_unique<FakeDataplane>(link_);
    dataplane_->SetStats(WithLink(link));
    Start();
    ASSERT_TRUE(WaitConnected());
  }
  // Waits until the status shows one port with this state and count.
  bool Becomes(bool up, uint64_t changes) {
    return WaitForStatus([&](const Json& dataplane) {
      const Json& ports = dataplane["ports"];
      return ports.size() == 1 && ports[0]["link"]["up"] == up &&
             ports[0]["link"]["changes"] == changes;
    });
  }
  Json Link() { return Call("GET", "/v1/status").json()["dataplane"]["ports"][0]["link"]; }

  std::unique_ptr<FakeDataplane> dataplane_;
};

TEST_F(PortLinkTest, StatusShowsTheLinkAndSinceWhen) {
  StartWith({.is_up = true, .speed_mbps = 10'000, .changes = 0, .for_ms = 60'000});
  ASSERT_TRUE(Becomes(true, 0));
  const Json port = Call("GET", "/v1/status").json()["dataplane"]["ports"][0];
  EXPECT_EQ(port["name"], "wan");
  EXPECT_EQ(port["interface"], "wan0");
  EXPECT_EQ(port["link"]["speed_mbps"], 10'000);
  // `since` stays, although the next statistics are read later and give another duration.
  const Json since = port["link"]["since"];
  dataplane_->SetStats(WithLink({true, 10'000, 0, 61'003}));
  ASSERT_TRUE(dataplane_->WaitForStats(2));
  EXPECT_EQ(Link()["since"], since);
  dataplane_->SetStats(WithLink({false, 0, 1, 50}));
  ASSERT_TRUE(Becomes(false, 1));
  EXPECT_GT(Link()["since"].get<std::string>(), since.get<std::string>());
  EXPECT_THAT(Call("GET", "/metrics").body, HasSubstr("fairlead_port_link_up{port=\"wan\"} 0\n"));
}

TEST_F(PortLinkTest, WithoutADataplaneNoLinkIsKnown) {
  StartWith({.is_up = true, .for_ms = 1});
  ASSERT_TRUE(Becomes(true, 0));
  EXPECT_THAT(Call("GET", "/metrics").body, HasSubstr("fairlead_port_link_up{"));
  dataplane_.reset();
  ASSERT_TRUE(WaitForStatus([](const Json& view) { return view["connected"] == false; }));
  EXPECT_EQ(Call("GET", "/v1/status").json()["dataplane"]["ports"], Json::array());
  EXPECT_THAT(Call("GET", "/metrics").body, Not(HasSubstr("fairlead_port_link_up{")));
}

TEST_F(PortLinkTest, ADurationBeforeTheEpochIsNotBelieved) {
  StartWith({.is_up = false, .changes = 1, .for_ms = UINT64_MAX});
  ASSERT_TRUE(Becomes(false, 1));
  EXPECT_EQ(Link()["since"], "1970-01-01T00:00:00.000Z");
}

// The lines of the stream that arrived up to `text`.
std::vector<Json> Lines(HttpConnection* watch, const std::string& text) {
  std::vector<Json> lines;
  std::string rest = watch->ReceiveUntil(text);
  EXPECT_THAT(rest, HasSubstr(text));
  for (size_t at = rest.find('{'); at != std::string::npos; at = rest.find('{', at)) {
    const size_t end = rest.find('\n', at);
    const Json line = Json::parse(rest.substr(at, end - at), nullptr, false);
    if (line.is_object()) lines.push_back(line);
    at = end == std::string::npos ? rest.size() : end;
  }
  return lines;
}

std::vector<std::string> PortLines(const std::vector<Json>& lines) {
  std::vector<std::string> texts;
  for (const Json& line : lines) {
    if (line["type"] != "port") continue;
    texts.push_back(line["name"].get<std::string>() +
                    (line["link"]["up"] == true ? " up " : " down ") +
                    line["link"]["changes"].dump());
  }
  return texts;
}

TEST_F(PortLinkTest, TheWatchSendsEachChangeOfALink) {
  StartWith({.is_up = true, .changes = 0, .for_ms = 1});
  ASSERT_TRUE(Becomes(true, 0));
  HttpConnection watch(socket_);
  watch.Send(RequestText("GET", "/v1/watch"));
  EXPECT_THAT(PortLines(Lines(&watch, "\"synced\"")), ElementsAre("wan up 0"));
  dataplane_->SetStats(WithLink({.is_up = false, .changes = 1}));
  EXPECT_THAT(PortLines(Lines(&watch, "\"port\"")), ElementsAre("wan down 1"));
  // Up and down again between two readings.
  dataplane_->SetStats(WithLink({.is_up = false, .changes = 3}));
  EXPECT_THAT(PortLines(Lines(&watch, "\"port\"")), ElementsAre("wan down 3"));
  dataplane_->SetStats(WithLink({.is_up = true, .changes = 4}));
  EXPECT_THAT(PortLines(Lines(&watch, "\"port\"")), ElementsAre("wan up 4"));
  // After a reconnect all links are sent again.
  dataplane_.reset();
  Lines(&watch, "\"connected\":false");
  dataplane_ = std::make_unique<FakeDataplane>(link_);
  dataplane_->SetStats(WithLink({.is_up = true, .changes = 4}));
  EXPECT_THAT(PortLines(Lines(&watch, "\"port\"")), testing::Contains("wan up 4"));
}

// Checks that always pass.
Probers WithPasses(size_t /*most_at_once*/) {
  return {{&kTcpCheck, [](ProbeTarget) -> asio::awaitable<ProbeAnswer> {
             co_return ProbeAnswer{CheckOutcome::kPassed};
           }}};
}

TEST_F(PortLinkTest, ABackendThatIsNotCheckedKeepsItsStateAndSaysWhy) {
  make_probers_ = WithPasses;
  StartWith({.is_up = true});
  ASSERT_EQ(Call("POST", "/v1/services", R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
      "health_check": {"type": "tcp", "interval": "100ms", "timeout": "50ms"},
      "backends": [{"address": "10.0.0.1", "mac": "02:00:00:00:00:01"}]})")
                .status,
            201);
  const std::string target = "/v1/services/web/backends/10.0.0.1";
  ASSERT_TRUE(
      AskUntil(socket_, target, [](const Json& view) { return view["state"] == "healthy"; }));
  HttpConnection watch(socket_);
  watch.Send(RequestText("GET", "/v1/watch"));
  Lines(&watch, "\"synced\"");
  dataplane_.reset();
  const std::string reason = "tcp check of port 80 passes; not checked now: the dataplane is away";
  Lines(&watch, reason);
  const Json view = Call("GET", target).json();
  EXPECT_EQ(view["state"], "healthy");
  EXPECT_EQ(view["reason"], reason);
  dataplane_ = std::make_unique<FakeDataplane>(link_);
  Lines(&watch, "\"reason\":\"tcp check of port 80 passes\"");
}

TEST(NoCarrierText, NamesThePortOnlyIfItsLinkIsDown) {
  DataplaneStatus dataplane;
  EXPECT_EQ(NoCarrierText("wan0", "wan0", dataplane), "wan0 has no carrier");
  dataplane.links = {{.port = "lan", .interface = "lan0"}, {.port = "wan", .interface = "wan0"}};
  EXPECT_EQ(NoCarrierText("wan0", "wan0", dataplane), "port wan has no link");
  EXPECT_EQ(NoCarrierText("wan0.20", "wan0", dataplane), "port wan has no link");
  EXPECT_EQ(NoCarrierText("eth9", "eth9", dataplane), "eth9 has no carrier");
  dataplane.links[1].is_up = true;
  EXPECT_EQ(NoCarrierText("wan0", "wan0", dataplane), "wan0 has no carrier");
}

}  // namespace
}  // namespace fairlead
