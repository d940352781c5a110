#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fairctl/harness.h"

namespace fairlead::fairctl {
namespace {

using ::testing::ElementsAre;
using testing::Harness;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kIntent =
    R"({"type":"intent","revision":8,"at":"1970-01-01T12:05:09.250Z","author":"root","changes":[)"
    R"({"service":"web","before":null,"after":{}},)"
    R"({"service":"web","backend":"10.0.0.1","before":{"weight":1},"after":{"weight":7,"drain":{"started_ms":1}}},)"
    R"({"service":"web","backend":"10.0.0.2","before":{"weight":1},"after":null},)"
    R"({"note":"a","before":{"text":"one"},"after":{"text":"two"}},)"
    R"({"hash_seed":{"before":1,"after":2}}]})"
    "\n";

std::string StatusLine(const std::string& state, const std::string& reason) {
  return R"({"type":"status","service":"web","backend":{"address":"10.0.0.1","state":")" + state +
         R"(","reason":")" + reason + "\"}}\n";
}

TEST(WatchCommand, PrintsOneLineForEachChange) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Answer(200, kIntent).Run({"watch"}), kExitUnreachable);
  EXPECT_EQ(fairctl.out(),
            "12:05:09  revision 8 by root: web: added\n"
            "12:05:09  revision 8 by root: web 10.0.0.1: weight 1 -> 7, drain\n"
            "12:05:09  revision 8 by root: web 10.0.0.2: removed\n"
            "12:05:09  revision 8 by root: note a: text one -> two\n"
            "12:05:09  revision 8 by root: hash seed 1 -> 2\n");
  EXPECT_THAT(fairctl.err(), HasSubstr("ended the watch"));
  EXPECT_THAT(fairctl.requests(), ElementsAre("GET /v1/watch"));
}

TEST(WatchCommand, PrintsAStatusOnceWhereOnlyCountsDiffer) {
  Harness fairctl;
  const std::string lines = StatusLine("draining", "flows remain") +
                            StatusLine("draining", "flows remain") +
                            StatusLine("drained", "no flows remain");
  fairctl.Answer(200, lines).Run({"watch"});
  EXPECT_EQ(fairctl.out(),
            "00:16:40  web 10.0.0.1: draining, flows remain\n"
            "00:16:40  web 10.0.0.1: drained, no flows remain\n");
}

TEST(WatchCommand, PrintsLinksThatChange) {
  Harness fairctl;
  fairctl
      .Answer(200,
              R"({"type":"port","name":"wan","link":{"up":false,"since":"1970-01-01T00:16:39Z"}})"
              "\n")
      .Run({"watch"});
  EXPECT_EQ(fairctl.out(), "00:16:40  port wan: link down since 1970-01-01T00:16:39Z\n");
}

TEST(WatchCommand, PrintsWhatIsInForce) {
  Harness fairctl;
  fairctl
      .Answer(200,
              "{\"type\":\"dataplane\",\"connected\":false,\"generation\":0,\"revision\":0}\n"
              "{\"type\":\"dataplane\",\"connected\":true,\"generation\":5,\"revision\":3}\n"
              "{\"type\":\"alive\",\"revision\":3}\n")
      .Run({"watch"});
  EXPECT_EQ(fairctl.out(),
            "00:16:40  the dataplane is not connected\n"
            "00:16:40  in force: revision 3, generation 5\n");
}

TEST(WatchCommand, StartsAgainAfterARestartEvent) {
  Harness fairctl;
  fairctl.Answer(200, "{\"type\":\"restart\",\"message\":\"too much\"}\n").Answer(200, kIntent);
  EXPECT_EQ(fairctl.Run({"watch", "--from", "7"}), kExitUnreachable);
  EXPECT_THAT(fairctl.requests(), ElementsAre("GET /v1/watch from 7", "GET /v1/watch"));
  EXPECT_THAT(fairctl.err(), HasSubstr("too much"));
  EXPECT_THAT(fairctl.out(), HasSubstr("revision 8"));
}

TEST(WatchCommand, PrintsEventsUnchangedAsJson) {
  Harness fairctl;
  fairctl.Answer(200, kIntent).Run({"--json", "watch"});
  EXPECT_EQ(fairctl.out(), kIntent);
}

TEST(WatchCommand, PrintsWhyTheWatchIsRefused) {
  Harness fairctl;
  fairctl.Answer(410, R"({"error": {"code": "history_gone", "message": "not kept"}})");
  EXPECT_EQ(fairctl.Run({"watch", "--from", "1"}), kExitFailed);
  EXPECT_EQ(fairctl.err(), "fairctl: not kept\n");
  EXPECT_THAT(fairctl.out(), Not(HasSubstr("revision")));
}

}  // namespace
}  // namespace fairlead::fairctl
