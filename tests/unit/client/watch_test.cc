// Watches over a transport that plays scripted streams.
#include "controlplane/client/watch.h"

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::ElementsAre;

class ScriptedTransport final : public Transport {
 public:
  struct Stream {
    std::vector<std::string> lines;
    ControlReply end = {200, ""};
  };
  explicit ScriptedTransport(std::deque<Stream> streams) : streams_(std::move(streams)) {}

  Result<ControlReply> Send(const std::string&, const std::string&, const std::string&) override {
    return Internal("a watch sends no other requests");
  }
  Result<ControlReply> Follow(const std::string& target, const std::string& from,
                              const std::function<bool(const std::string&)>& line) override {
    asked.push_back(target + " " + from);
    if (streams_.empty()) return Unavailable("the script has no stream left");
    const Stream stream = std::move(streams_.front());
    streams_.pop_front();
    for (const std::string& each : stream.lines) {
      if (!line(each)) break;
    }
    return stream.end;
  }

  std::vector<std::string> asked;

 private:
  std::deque<Stream> streams_;
};

TEST(FollowWatch, StartsAgainAfterARestartEvent) {
  ScriptedTransport transport({{{R"({"type":"intent"})", R"({"type":"restart"})", "not seen"}},
                               {{R"({"type":"status"})"}}});
  std::vector<std::string> types;
  const Status status =
      FollowWatch(&transport, "7", [&](const nlohmann::json& event, const std::string& line) {
        EXPECT_EQ(event.dump(), line);
        types.push_back(event["type"]);
        return true;
      });
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(types, ElementsAre("intent", "restart", "status"));
  EXPECT_THAT(transport.asked, ElementsAre("/v1/watch 7", "/v1/watch "));
}

TEST(FollowWatch, EndsWhenTheCallbackReturnsFalse) {
  ScriptedTransport transport({{{R"({"n":1})", R"({"n":2})"}}});
  int events = 0;
  const Status status = FollowWatch(&transport, "", [&](const nlohmann::json&, const std::string&) {
    ++events;
    return false;
  });
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(events, 1);
}

TEST(FollowWatch, ReportsWhyTheWatchIsRefused) {
  ScriptedTransport transport(
      {{{}, {410, R"({"error": {"code": "history_gone", "message": "not kept"}})"}}});
  const auto event = [](const nlohmann::json&, const std::string&) { return true; };
  const Status refused = FollowWatch(&transport, "1", event);
  EXPECT_EQ(refused.code(), ErrorCode::kHistoryGone);
  EXPECT_EQ(refused.message(), "not kept");
  EXPECT_EQ(FollowWatch(&transport, "1", event).code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace fairlead
