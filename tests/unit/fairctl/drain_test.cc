#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fairctl/harness.h"

namespace fairlead::fairctl {
namespace {

using testing::Harness;
using ::testing::HasSubstr;

const std::vector<std::string> kDrainAndWait = {"backend",   "drain", "web",   "10.0.0.1",
                                                "--timeout", "60s",   "--wait"};

std::string Draining(const char* remaining) {
  return std::string(R"({"state":"draining","remaining_flows":)") + remaining + "}";
}
constexpr const char* kDrained =
    R"({"state":"drained","remaining_flows":0,"in_force":true,"flows_kept":false,
        "reason":"no flows remain"})";

TEST(DrainWait, PrintsOneLineForEachChangeAndReturnsZeroWhenDrained) {
  Harness fairctl;
  fairctl.Answer(200, Draining("null")).Answer(200, Draining("2")).Answer(200, Draining("2"));
  fairctl.Answer(200, Draining("1")).Answer(200, kDrained);
  EXPECT_EQ(fairctl.Run(kDrainAndWait), kExitOk);
  EXPECT_EQ(fairctl.out(),
            "10.0.0.1: draining, flows not counted yet\n"
            "10.0.0.1: draining, 2 flows remain\n"
            "10.0.0.1: draining, 1 flow remains\n"
            "10.0.0.1: drained, no flows remain\n");
  EXPECT_EQ(fairctl.requests().at(1), "GET /v1/services/web/backends/10.0.0.1/drain");
  EXPECT_EQ(fairctl.unused_answers(), 0U);
}

TEST(DrainWait, RewritesOneLineOnATerminal) {
  Harness fairctl;
  fairctl.OnTerminal().Answer(200, Draining("2")).Answer(200, kDrained);
  EXPECT_EQ(fairctl.Run(kDrainAndWait), kExitOk);
  EXPECT_EQ(fairctl.out(),
            "\r10.0.0.1: draining, 2 flows remain\x1b[K"
            "\r10.0.0.1: drained, no flows remain\x1b[K\n");
}

TEST(DrainWait, PrintsOnlyTheLastStateAsJson) {
  Harness fairctl;
  fairctl.Answer(200, Draining("2")).Answer(200, kDrained);
  auto words = kDrainAndWait;
  words.push_back("--json");
  EXPECT_EQ(fairctl.Run(words), kExitOk);
  EXPECT_EQ(Json::parse(fairctl.out()), Json::parse(kDrained));
}

TEST(DrainWait, ReturnsAtOnceWhenDrainedAlready) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Answer(200, kDrained).Run(kDrainAndWait), kExitOk);
  EXPECT_EQ(fairctl.sleeps(), 0);
}

TEST(DrainWait, ContinuesWhenFairleaddRestarts) {
  Harness fairctl;
  fairctl.Answer(200, Draining("2"));
  for (int i = 0; i < 100; ++i) fairctl.FailToConnect();
  fairctl.Answer(200, kDrained);
  EXPECT_EQ(fairctl.Run(kDrainAndWait), kExitOk);
}

TEST(DrainWait, GivesUpWhenFairleaddStaysUnreachable) {
  Harness fairctl;
  fairctl.Answer(200, Draining("2"));
  for (int i = 0; i < 200; ++i) fairctl.FailToConnect("fairleadd is not running");
  EXPECT_EQ(fairctl.Run(kDrainAndWait), kExitUnreachable);
  EXPECT_THAT(fairctl.err(), HasSubstr("fairleadd is not running"));
  EXPECT_GT(fairctl.unused_answers(), 50U);
}

TEST(DrainWait, SaysThatAnotherClientEndedTheDrain) {
  Harness fairctl;
  fairctl.Answer(200, Draining("2"));
  fairctl.Answer(404, R"({"error":{"code":"not_found","message":"it is not being drained"}})");
  EXPECT_EQ(fairctl.Run(kDrainAndWait), kExitNotFound);
  EXPECT_THAT(fairctl.err(), HasSubstr("was ended by another client"));
}

TEST(DrainWait, ExitsWithFiveWhenFlowsRemainAfterTheDeadline) {
  Harness fairctl;
  for (int i = 0; i < 1000; ++i) fairctl.Answer(200, Draining("2"));
  EXPECT_EQ(fairctl.Run(kDrainAndWait), kExitWaitTimeout);
  EXPECT_THAT(fairctl.err(), HasSubstr("2 flows remain; timed out after the deadline"));
  // 60 s and 30 s more, with four requests a second.
  EXPECT_EQ(fairctl.sleeps(), 361);
}

TEST(DrainWait, UsesTheDeadlineThatFairleaddSet) {
  Harness fairctl;
  const std::string reply =
      R"({"state":"draining","remaining_flows":2,"deadline":"1970-01-01T00:16:50Z"})";
  for (int i = 0; i < 1000; ++i) fairctl.Answer(200, reply);
  EXPECT_EQ(fairctl.Run({"backend", "drain", "web", "10.0.0.1", "--wait"}), kExitWaitTimeout);
  EXPECT_EQ(fairctl.sleeps(), 161);  // 10 s to the deadline and 30 s more
}

TEST(DrainWait, WaitsUntilTheDataplaneHasConfirmedTheDrain) {
  const std::string unconfirmed =
      R"({"state":"drained","in_force":false,"flows_kept":false,"reason":"deadline passed"})";
  Harness confirmed;
  confirmed.Answer(200, unconfirmed).Answer(200, unconfirmed).Answer(200, kDrained);
  EXPECT_EQ(confirmed.Run(kDrainAndWait), kExitOk);
  EXPECT_EQ(confirmed.unused_answers(), 0U);
  Harness never;
  for (int i = 0; i < 1000; ++i) never.Answer(200, unconfirmed);
  EXPECT_EQ(never.Run(kDrainAndWait), kExitWaitTimeout);
  EXPECT_THAT(never.err(), HasSubstr("may still send new flows there: do not stop the backend"));
}

TEST(DrainWait, WarnsWhenFlowsAreKeptAfterTheDeadline) {
  Harness fairctl;
  fairctl.Answer(200, Draining("2"));
  fairctl.Answer(200, R"({"state":"drained","in_force":true,"flows_kept":true,
                          "reason":"deadline passed; flows that remain are kept"})");
  EXPECT_EQ(fairctl.Run(kDrainAndWait), kExitWaitTimeout);
  EXPECT_THAT(fairctl.err(), HasSubstr("stopping it now breaks them"));
}

TEST(DrainWait, RetriesWhenFairleaddIsBusy) {
  Harness fairctl;
  fairctl.Answer(200, Draining("2"));
  fairctl.Answer(503, R"({"error":{"code":"unavailable","message":"too many at once"}})");
  fairctl.Answer(200, kDrained);
  EXPECT_EQ(fairctl.Run(kDrainAndWait), kExitOk);
}

TEST(DrainWait, FollowsADeadlineThatAnotherClientMoves) {
  Harness fairctl;
  fairctl.Answer(200,
                 R"({"state":"draining","remaining_flows":2,"deadline":"1970-01-01T00:16:50Z"})");
  for (int i = 0; i < 1000; ++i) {
    fairctl.Answer(200,
                   R"({"state":"draining","remaining_flows":2,"deadline":"1970-01-01T00:17:50Z"})");
  }
  EXPECT_EQ(fairctl.Run({"backend", "drain", "web", "10.0.0.1", "--wait"}), kExitWaitTimeout);
  EXPECT_EQ(fairctl.sleeps(), 401);  // 70 s to the later deadline and 30 s more
}

TEST(Drain, DoesNotClaimThatNewFlowsStopBeforeTheDrainIsInForce) {
  Harness fairctl;
  fairctl.Answer(200, R"({"state":"draining","generation":5,"in_force":false})");
  EXPECT_EQ(fairctl.Run({"backend", "drain", "web", "10.0.0.1"}), kExitOk);
  EXPECT_EQ(fairctl.out().find("No new flow"), std::string::npos) << fairctl.out();
}

TEST(Drain, SendsNoBodyWithoutATimeout) {
  Harness fairctl;
  fairctl.Answer(200, Draining("2")).Run({"backend", "drain", "web", "10.0.0.1"});
  EXPECT_EQ(fairctl.requests().at(0), "PUT /v1/services/web/backends/10.0.0.1/drain");
}

}  // namespace
}  // namespace fairlead::fairctl
