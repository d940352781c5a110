#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fairctl/harness.h"

namespace fairlead::fairctl {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::Harness;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Words = std::vector<std::string>;

struct BadUsage {
  const char* name;
  Words words;
  const char* message;
};

const BadUsage kBadUsage[] = {
    {"NoArguments", {}, "A subcommand is required"},
    {"UnknownCommand", {"servce"}, "no such command: servce"},
    {"UnknownCommandOfAGroup", {"backend", "lst", "web"}, "no such command: lst"},
    {"GroupAlone", {"backend"}, "A subcommand is required"},
    {"UnknownOption", {"status", "--jsn"}, "--jsn"},
    {"MissingService", {"service", "show"}, "name is required"},
    {"MissingFrontend", {"service", "add", "web"}, "--frontend is required"},
    {"TooManyArguments", {"service", "show", "web", "api"}, "api"},
    {"WeightTooLarge", {"backend", "weight", "web", "10.0.0.1", "1001"}, "1001"},
    {"WeightIsNoNumber", {"backend", "weight", "web", "10.0.0.1", "two"}, "two"},
    {"SeedIsZero",
     {"seed", "set", "0"},
     "seed: '0' is not a number from 1 to 18446744073709551615 in decimal digits"},
    {"SeedIsTwoToThe64",
     {"seed", "set", "18446744073709551616"},
     "'18446744073709551616' is not a"},
    {"SeedIsFarTooLarge", {"seed", "set", "99999999999999999999"}, "'99999999999999999999' is not"},
    {"SeedIsNegative", {"seed", "set", "--", "-5"}, "'-5' is not a number from 1"},
    {"SeedIsHexadecimal", {"seed", "set", "0x10"}, "'0x10' is not a number from 1"},
    {"SeedIsEmpty", {"seed", "set", ""}, "'' is not a number from 1"},
    {"CountWrapsAround",
     {"stats", "--watch", "--count=-18446744073709551615"},
     "--count: '-184467"},
    {"GenerationIsNegative",
     {"snapshot", "build", "/x", "-o", "/y", "--generation=-1"},
     "--generation: '-1' is not a number from 0 to 18446744073709551615"},
    {"VlanTooLarge", {"backend", "add", "web", "10.0.0.1", "--vlan", "4095"}, "4095"},
    {"BackendIsNoAddress", {"backend", "add", "web", "web1"}, "web1"},
    {"SecondBackendIsNoAddress", {"backend", "add", "web", "10.0.0.1", "10.0.0"}, "10.0.0"},
    {"DrainTimeoutWithoutUnit",
     {"backend", "drain", "web", "10.0.0.1", "--timeout", "60"},
     "--timeout: \"60\" is not a duration: write a number and ms, s, m or h"},
    {"ServiceSetWithoutASetting", {"service", "set", "web"}, "nothing to set"},
    {"BackendSetWithoutASetting", {"backend", "set", "web", "10.0.0.1"}, "nothing to set"},
    {"BackendSetWithConflictingOptions",
     {"backend", "set", "web", "10.0.0.1", "--mac", "02:00:00:00:00:01", "--no-mac"},
     "excludes"},
    {"IntervalWithoutWatch", {"stats", "--interval", "1s"}, "--interval requires --watch"},
    {"RequestTimeout", {"status", "--request-timeout", "soon"}, "\"soon\" is not a duration"},
    {"ExplainWithoutPort", {"explain", "tcp", "198.51.100.7", "203.0.113.10:80"}, "has no port"},
    {"ExplainProtocol", {"explain", "icmp", "198.51.100.7:1", "203.0.113.10:80"}, "icmp"},
    {"ExplainTwoFamilies",
     {"explain", "tcp", "198.51.100.7:1", "[2001:db8::1]:80"},
     "source and destination have different address families"},
    {"SnapshotWithoutOutput", {"snapshot", "build", "services.yaml"}, "--output is required"},
};

class UsageErrors : public ::testing::TestWithParam<BadUsage> {};

TEST_P(UsageErrors, ExitWithTwoAndSendNoRequest) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Run(GetParam().words), kExitUsage);
  EXPECT_THAT(fairctl.err(), HasSubstr(GetParam().message));
  EXPECT_EQ(fairctl.out(), "");
  EXPECT_THAT(fairctl.requests(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, UsageErrors, ::testing::ValuesIn(kBadUsage),
                         [](const auto& row) { return std::string(row.param.name); });

// CLI11 takes a leading zero for octal, and 18446744073709551615 for "at least this many".
TEST(Fairctl, SendsNumbersAsTheyAreWritten) {
  Harness fairctl;
  fairctl.Answer(200, "{}").Answer(200, "{}");
  EXPECT_EQ(fairctl.Run({"seed", "set", "18446744073709551615"}), kExitOk);
  EXPECT_EQ(fairctl.Run({"backend", "weight", "web", "10.0.0.1", "010"}), kExitOk);
  ASSERT_EQ(fairctl.requests().size(), 2U);
  EXPECT_EQ(fairctl.requests()[0], R"(PUT /v1/seed {"hash_seed":18446744073709551615})");
  EXPECT_THAT(fairctl.requests()[1], HasSubstr(R"({"weight":10})"));
}

TEST(Fairctl, HelpListsTheExitCodes) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Run({"--help"}), kExitOk);
  EXPECT_THAT(fairctl.out(), HasSubstr("3 fairleadd not reachable"));
}

TEST(Fairctl, AcceptsGlobalOptionsBeforeAndAfterTheCommand) {
  for (const Words& words : {Words{"--json", "--socket", "/tmp/x", "status"},
                             Words{"status", "--socket", "/tmp/x", "--json"}}) {
    Harness fairctl;
    EXPECT_EQ(fairctl.Answer(200, R"({"pid":1})").Run(words), kExitOk);
    EXPECT_EQ(fairctl.socket(), "/tmp/x");
    EXPECT_EQ(fairctl.out(), "{\n  \"pid\": 1\n}\n");
  }
}

struct Failure {
  const char* name;
  unsigned status;
  const char* body;
  int exit_code;
  const char* message;
};

const Failure kFailures[] = {
    {"NotFound", 404, R"({"error":{"code":"not_found","message":"no service is named 'web'"}})",
     kExitNotFound, "fairctl: no service is named 'web'\n"},
    {"Refused", 400, R"({"error":{"code":"invalid_argument","message":"name: x","field":"name"}})",
     kExitFailed, "fairctl: name: x\n"},
    {"Exists", 409, R"({"error":{"code":"already_exists","message":"there"}})", kExitFailed,
     "fairctl: there\n"},
    {"NoDataplaneIsARefusal", 503, R"({"error":{"code":"unavailable","message":"no dataplane"}})",
     kExitFailed, "fairctl: no dataplane\n"},
    {"StatusAlone", 500, "", kExitFailed, "fairctl: fairleadd answered with HTTP status 500\n"},
    {"OtherJson", 502, "[1]", kExitFailed, "fairctl: fairleadd answered with HTTP status 502\n"},
    {"NoJson", 200, "<html>", kExitFailed,
     "fairctl: fairleadd answered GET /v1/services/web with HTTP status 200 and a body that is "
     "not JSON\n"},
};

class Failures : public ::testing::TestWithParam<Failure> {};

TEST_P(Failures, HaveAnExitCodeAndOneMessage) {
  Harness fairctl;
  fairctl.Answer(GetParam().status, GetParam().body);
  EXPECT_EQ(fairctl.Run({"service", "show", "web"}), GetParam().exit_code);
  EXPECT_EQ(fairctl.err(), GetParam().message);
  EXPECT_EQ(fairctl.out(), "");
}

INSTANTIATE_TEST_SUITE_P(All, Failures, ::testing::ValuesIn(kFailures),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Fairctl, ExitsWithThreeWhenFairleaddDoesNotAnswer) {
  Harness fairctl;
  EXPECT_EQ(fairctl.FailToConnect("fairleadd is not running").Run({"status"}), kExitUnreachable);
  EXPECT_EQ(fairctl.err(), "fairctl: fairleadd is not running\n");
}

TEST(Fairctl, PrintsErrorsAsJsonWhenAsked) {
  Harness fairctl;
  fairctl.Answer(404, R"({"error":{"code":"not_found","message":"gone"}})");
  EXPECT_EQ(fairctl.Run({"--json", "service", "show", "web"}), kExitNotFound);
  EXPECT_EQ(Json::parse(fairctl.err()),
            Json::parse(R"({"error":{"code":"not_found","message":"gone"}})"));
}

struct Request {
  const char* name;
  Words words;
  const char* request;  // method, target, body
  const char* reply;
  const char* output;
};

const Request kRequests[] = {
    {"ServiceAdd",
     {"service", "add", "web", "--frontend", "203.0.113.10:80/tcp", "--frontend",
      "[2001:db8::10]:80/tcp", "--backend", "10.0.0.1"},
     R"(POST /v1/services {"backends":["10.0.0.1"],"frontends":["203.0.113.10:80/tcp","[2001:db8::10]:80/tcp"],"name":"web"})",
     R"({"generation":3,"in_force":true})",
     "service web added (generation 3, in force)\n"},
    {"ServiceAddWithEverything",
     {"service",
      "add",
      "web",
      "--frontend",
      "203.0.113.10:80/tcp",
      "--backend",
      "10.0.0.1",
      "--forwarding",
      "dsr",
      "--hash",
      "source-ip",
      "--tracking",
      "all",
      "--idle-timeout",
      "10s",
      "--drain-timeout",
      "20s",
      "--on-deadline",
      "keep",
      "--on-unhealthy",
      "keep",
      "--keep-unhealthy",
      "30s",
      "--fail-closed",
      "--health-check",
      "tcp",
      "--check-interval",
      "1s",
      "--check-timeout",
      "500ms",
      "--rise",
      "1",
      "--fall",
      "2",
      "--check-port",
      "8080"},
     R"(POST /v1/services {"backends":["10.0.0.1"],"drain_timeout":"20s","fail_open":false,"forwarding":"dsr","frontends":["203.0.113.10:80/tcp"],"hash":"source-ip","health_check":{"fall":2,"interval":"1s","port":8080,"rise":1,"timeout":"500ms","type":"tcp"},"idle_timeout":"10s","keep_unhealthy":"30s","name":"web","on_deadline":"keep","on_unhealthy":"keep","tracking":"all"})",
     "{}",
     "service web added\n"},
    {"ServiceRemove",
     {"service", "remove", "web"},
     "DELETE /v1/services/web",
     "",
     "service web removed\n"},
    {"NamesAreEscaped",
     {"service", "remove", "a/b c%"},
     "DELETE /v1/services/a%2Fb%20c%25",
     "",
     "service a/b c% removed\n"},
    {"BackendAdd",
     {"backend", "add", "web", "10.0.0.1", "--weight", "2", "--mac", "02:00:00:00:00:01", "--vlan",
      "7"},
     R"(POST /v1/services/web/backends {"backends":[{"address":"10.0.0.1","mac":"02:00:00:00:00:01","vlan":7,"weight":2}]})",
     R"({"generation":4,"in_force":true})",
     "backend 10.0.0.1 added to web (generation 4, in force)\n"},
    {"BackendsAddWithPorts",
     {"backend", "add", "web", "10.0.0.1:80", "[2001:db8::1]:80"},
     R"(POST /v1/services/web/backends {"backends":[{"address":"10.0.0.1","port":80,"weight":1},{"address":"2001:db8::1","port":80,"weight":1}]})",
     R"({"generation":4,"in_force":false})",
     "backends 10.0.0.1:80, [2001:db8::1]:80 added to web (generation 4, stored but not in force: "
     "`fairctl status` says why)\n"},
    {"BackendWeight",
     {"backend", "weight", "web", "10.0.0.1", "0"},
     R"(PATCH /v1/services/web/backends/10.0.0.1 {"weight":0})",
     "{}",
     "backend 10.0.0.1 of web has weight 0\n"},
    {"BackendRemoveByIpv6AndPort",
     {"backend", "remove", "web", "[2001:db8::1]:80"},
     "DELETE /v1/services/web/backends/%5B2001:db8::1%5D:80",
     "",
     "backend [2001:db8::1]:80 of web removed\n"},
    {"BackendRemoveByIpv6",
     {"backend", "remove", "web", "2001:db8::1"},
     "DELETE /v1/services/web/backends/2001:db8::1",
     "",
     "backend 2001:db8::1 of web removed\n"},
    {"ServiceSet",
     {"service", "set", "web", "--drain-timeout", "60s", "--fail-open", "--no-mss-clamp", "--fall",
      "5", "--frontend", "203.0.113.10:80/tcp"},
     R"(PATCH /v1/services/web {"drain_timeout":"60s","fail_open":true,"frontends":["203.0.113.10:80/tcp"],"health_check":{"fall":5},"mss_clamp":false})",
     R"({"generation":4,"in_force":true})",
     "service web changed (generation 4, in force)\n"},
    {"BackendSet",
     {"backend", "set", "web", "10.0.0.1", "--mac", "02:00:00:00:00:01", "--vlan", "7"},
     R"(PATCH /v1/services/web/backends/10.0.0.1 {"mac":"02:00:00:00:00:01","vlan":7})",
     R"({"generation":4,"in_force":true})",
     "backend 10.0.0.1 of web changed (generation 4, in force)\n"},
    {"BackendSetNoMac",
     {"backend", "set", "web", "10.0.0.1", "--weight", "0", "--no-mac"},
     R"(PATCH /v1/services/web/backends/10.0.0.1 {"mac":null,"vlan":null,"weight":0})",
     R"({"generation":4,"in_force":true})",
     "backend 10.0.0.1 of web changed (generation 4, in force)\n"},
    {"Undrain",
     {"backend", "undrain", "web", "10.0.0.1"},
     "DELETE /v1/services/web/backends/10.0.0.1/drain",
     "{}",
     "backend 10.0.0.1 of web takes new flows again\n"},
    {"Drain",
     {"backend", "drain", "web", "10.0.0.1", "--timeout", "60s"},
     R"(PUT /v1/services/web/backends/10.0.0.1/drain {"timeout":"60s"})",
     R"({"state":"draining","remaining_flows":1,"generation":5,"in_force":true})",
     "10.0.0.1: draining, 1 flow remains (generation 5, in force)\n"
     "No new flow goes to it. `fairctl backend drain web 10.0.0.1 --wait` returns when it is safe "
     "to stop.\n"},
};

class Requests : public ::testing::TestWithParam<Request> {};

TEST_P(Requests, AreSentAsTheApiDefinesAndReported) {
  Harness fairctl;
  fairctl.Answer(200, GetParam().reply);
  EXPECT_EQ(fairctl.Run(GetParam().words), kExitOk) << fairctl.err();
  EXPECT_THAT(fairctl.requests(), ElementsAre(GetParam().request));
  EXPECT_EQ(fairctl.out(), GetParam().output);
}

INSTANTIATE_TEST_SUITE_P(All, Requests, ::testing::ValuesIn(kRequests),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ServiceAdd, SuggestsTheNextCommandWithoutBackends) {
  Harness fairctl;
  fairctl.Answer(201, "{}");
  fairctl.Run({"service", "add", "web", "--frontend", "203.0.113.10:80/tcp"});
  EXPECT_THAT(fairctl.out(), HasSubstr("fairctl backend add web ADDRESS"));
}

constexpr const char* kBackends = R"({"backends":[
  {"address":"10.0.0.1","weight":2,"state":"healthy","since":"1970-01-01T00:16:00Z","flows":7,
   "packets":100,"bytes":2048,"next_hop":{"mac":"02:00:00:00:00:01","interface":"eth1"},
   "reason":"passes its checks","drain":null},
  {"address":"10.0.0.2","port":80,"weight":1,"state":"draining","since":"1970-01-01T00:16:40Z",
   "flows":9,"packets":1,"bytes":60,"next_hop":null,"reason":"being drained",
   "drain":{"remaining_flows":3}}]})";

TEST(BackendList, PrintsATable) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Answer(200, kBackends).Run({"backend", "list", "web"}), kExitOk);
  EXPECT_EQ(fairctl.out(),
            "BACKEND      WEIGHT  STATE     FOR  FLOWS  PACKETS    BYTES  NEXT HOP                "
            "REASON\n"
            "10.0.0.1          2  healthy   40s      7      100  2.0 KiB  02:00:00:00:00:01 eth1  "
            "passes its checks\n"
            "10.0.0.2:80       1  draining   0s      3        1     60 B  unknown                 "
            "being drained\n");
}

TEST(BackendList, SuggestsTheNextCommandWithoutBackends) {
  Harness fairctl;
  fairctl.Answer(200, R"({"backends":[]})").Run({"backend", "list", "web"});
  EXPECT_EQ(fairctl.out(),
            "Service web has no backends yet; add some with: fairctl backend add web ADDRESS\n");
}

TEST(ServiceList, CountsHealthyBackends) {
  Harness fairctl;
  fairctl.Answer(200, R"({"services":[{"name":"web","frontends":["203.0.113.10:80/tcp"],
    "forwarding":"dsr","hash":"5-tuple","backends":[{"state":"healthy"},{"state":"unhealthy"}]}]})");
  EXPECT_EQ(fairctl.Run({"service", "list"}), kExitOk);
  EXPECT_EQ(fairctl.out(),
            "NAME  FRONTENDS            FORWARDING  HASH     BACKENDS\n"
            "web   203.0.113.10:80/tcp  dsr         5-tuple  1/2 healthy\n");
}

TEST(ServiceList, NamesAServiceBelowItsMinimum) {
  Harness fairctl;
  fairctl.Answer(200, R"({"services":[{"name":"web","backends":[{"state":"healthy"},{}],
    "health":{"min_healthy":2,"below_min_healthy":true}}]})");
  EXPECT_EQ(fairctl.Run({"service", "list"}), kExitOk);
  EXPECT_THAT(fairctl.out(), HasSubstr("1/2 healthy, below min_healthy 2\n"));
}

TEST(ServiceShow, SaysHowManyBackendsMustBeHealthyAndHowLongTheyClimb) {
  const auto shown = [](const std::string& json) {
    Harness fairctl;
    EXPECT_EQ(fairctl.Answer(200, json).Run({"service", "show", "web"}), kExitOk);
    return fairctl.out();
  };
  EXPECT_THAT(shown(R"({"min_healthy":0,"slow_start":"0s"})"),
              AllOf(HasSubstr("min healthy    none\n"), HasSubstr("slow start     none\n")));
  EXPECT_THAT(shown(R"({"min_healthy":"30%","slow_start":"60s","health":{"healthy":3,"counted":4,
                        "min_healthy":2,"below_min_healthy":false}})"),
              AllOf(HasSubstr("min healthy    30%: 2 of 4 backends, 3 healthy\n"),
                    HasSubstr("slow start     60s\n")));
  EXPECT_THAT(shown(R"({"min_healthy":2,"health":{"healthy":1,"counted":4,"min_healthy":2,
                        "below_min_healthy":true,"since":"1970-01-01T00:16:00Z","used":"none"}})"),
              HasSubstr("min healthy    2 of 4 backends, 1 healthy: below it for 40s, no backend "
                        "gets new flows\n"));
}

TEST(BackendList, ShowsTheShareOfItsWeightThatAClimbingBackendHas) {
  Harness fairctl;
  fairctl.Answer(200, R"({"backends":[{"address":"10.0.0.1","weight":4,"state":"healthy",
    "slow_start":{"percent":30}}]})");
  EXPECT_EQ(fairctl.Run({"backend", "list", "web"}), kExitOk);
  EXPECT_THAT(fairctl.out(), HasSubstr("10.0.0.1  4 (30%)  healthy"));
}

TEST(Status, TellsAnIsolationAndFailuresThatCameTogether) {
  Harness fairctl;
  fairctl.Answer(200, R"({"dataplane":{},"isolated":{"since":"1970-01-01T00:16:28Z","ways":[
    {"interface":"eth0","gateway":"10.0.0.1","since":"1970-01-01T00:16:28Z",
     "reason":"gateway 10.0.0.1 on eth0 does not answer"}]},
    "failed_together":{"at":"1970-01-01T00:16:00Z","failed":3,"of":5,"count":1}})");
  EXPECT_EQ(fairctl.Run({"status"}), kExitOk);
  EXPECT_THAT(fairctl.out(),
              AllOf(HasSubstr("isolated    for 12s: gateway 10.0.0.1 on eth0 does not answer; "
                              "backends behind it keep their states\n"),
                    HasSubstr("failed      3 of 5 healthy backend addresses together, 40s ago\n")));
}

TEST(Status, SaysThatObservationsAreNotStored) {
  const std::string status =
      R"({"dataplane":{"connected":true},"services":1,"store_error":"disk is full"})";
  Harness full;
  EXPECT_EQ(full.Answer(200, status).Run({"status"}), kExitOk);
  EXPECT_THAT(full.out(),
              HasSubstr("store       changes and observations are not stored: disk is full\n"));
  Harness well;
  EXPECT_EQ(well.Answer(200, R"({"dataplane":{},"store_error":""})").Run({"status"}), kExitOk);
  EXPECT_EQ(well.out().find("store  "), std::string::npos) << well.out();
}

TEST(Status, SaysWhatIsInForceIfTheStoreIsOlder) {
  Harness fairctl;
  fairctl.Answer(200, R"({"generation":12,"dataplane":{"connected":true,"generation":0,
    "unknown_generation":11,"pid":8,"workers":2,"error":"an older store"}})");
  EXPECT_EQ(fairctl.Run({"status"}), kExitOk);
  EXPECT_THAT(fairctl.out(), HasSubstr("generation 11 of another state of the store in force, 12 "
                                       "is not published; an older store\n"));
}

TEST(Status, SaysWhatIsNotInForceAndWhy) {
  Harness fairctl;
  fairctl.Answer(200, R"({"version":"0.1.0","pid":7,"uptime_s":192,"generation":9,"services":1,
    "hash_seed":42,"table_digest":"00c0ffee00c0ffee",
    "dataplane":{"connected":true,"generation":8,"pid":8,"workers":2,"error":"refused: x"},
    "backends":{"healthy":2,"draining":0,"unhealthy":1}})");
  EXPECT_EQ(fairctl.Run({"status"}), kExitOk);
  EXPECT_EQ(fairctl.out(),
            "fairleadd   0.1.0, pid 7, up 3m12s\n"
            "generation  9\n"
            "hash seed   42, table 00c0ffee00c0ffee\n"
            "dataplane   connected, pid 8, 2 worker(s), generation 8 in force, not yet 9; "
            "refused: x\n"
            "services    1\n"
            "backends    2 healthy, 1 unhealthy\n");
}

TEST(Status, NamesADataplaneOfAnotherReleaseAndWhatItLacks) {
  Harness fairctl;
  fairctl.Answer(200, R"({"version":"0.2.0","generation":9,
    "dataplane":{"connected":true,"generation":9,"pid":8,"workers":2,"release":"0.1.0",
      "unsupported":[{"service":"web","field":"on_no_backend","message":"clients are dropped"}]},
    "left_out_frontends":[{"service":"web","frontend":"203.0.113.10:8000-8099/tcp",
      "code":"older_dataplane","message":"is a range"}]})");
  EXPECT_EQ(fairctl.Run({"status"}), kExitOk);
  EXPECT_THAT(fairctl.out(), HasSubstr("dataplane   connected, release 0.1.0, pid 8, "));
  EXPECT_THAT(fairctl.out(), HasSubstr("unsupported web on_no_backend: clients are dropped\n"));
  EXPECT_THAT(fairctl.out(), HasSubstr("left out    web 203.0.113.10:8000-8099/tcp: is a range\n"));
  Harness same;
  same.Answer(200, R"({"version":"0.2.0","generation":9,
    "dataplane":{"connected":true,"generation":9,"pid":8,"workers":2,"release":"0.2.0"}})");
  EXPECT_EQ(same.Run({"status"}), kExitOk);
  EXPECT_THAT(same.out(), HasSubstr("dataplane   connected, pid 8, "));
}

TEST(Status, SaysWhichLinksAreDownAndForHowLong) {
  const auto out = [](const std::string& ports) {
    Harness fairctl;  // its time is 1970-01-01T00:16:40Z
    fairctl.Answer(200, R"({"dataplane":{"connected":true,"ports":)" + ports + "}}");
    EXPECT_EQ(fairctl.Run({"status"}), kExitOk);
    return fairctl.out();
  };
  EXPECT_THAT(out("[]"), Not(HasSubstr("links")));
  EXPECT_THAT(out(R"([{"name":"wan","link":{"up":true}}])"), HasSubstr("links       1 up\n"));
  const std::string one_down = out(R"([{"name":"lan","link":{"up":true}},
              {"name":"wan","link":{"up":false,"since":"1970-01-01T00:16:28Z"}}])");
  EXPECT_THAT(one_down, HasSubstr("links       1 down, 1 up\n"
                                  "            port wan: link down for 12s\n"
                                  "services "));
}

TEST(Status, TellsTheInstalledDataplaneFromTheOneThatRuns) {
  const auto status = [](const std::string& installed) {
    Harness fairctl;
    if (!installed.empty()) fairctl.Program(0, installed);
    fairctl.Answer(200, R"({"version":"0.3.0","generation":9,
      "dataplane":{"connected":true,"generation":9,"pid":8,"workers":2,"release":"0.2.0"}})");
    EXPECT_EQ(fairctl.Run({"status"}), kExitOk);
    EXPECT_EQ(fairctl.commands().size(), 1U);
    EXPECT_THAT(fairctl.commands()[0], EndsWith("/fairlead-dataplane --version"));
    return fairctl.out();
  };
  EXPECT_THAT(status("fairlead-dataplane 0.3.0\n"),
              HasSubstr("dataplane   connected, running 0.2.0, installed 0.3.0, pid 8, "));
  // The installed one runs, but fairleadd is another release.
  EXPECT_THAT(status("fairlead-dataplane 0.2.0\n"),
              HasSubstr("dataplane   connected, release 0.2.0, pid 8, "));
  // Not installed, or another program.
  for (const char* output : {"", "zsh 5.9\n"}) {
    EXPECT_THAT(status(output), HasSubstr("dataplane   connected, release 0.2.0, pid 8, "));
  }
}

TEST(Stats, SaysThatTheDataplaneIsAway) {
  for (const auto& [connected, hits] : {std::pair("false", true), std::pair("true", false)}) {
    Harness fairctl;
    fairctl.Answer(
        200, R"({"totals":{"rx":1},"dataplane":{"connected":)" + std::string(connected) + "}}");
    EXPECT_EQ(fairctl.Run({"stats"}), kExitOk);
    EXPECT_EQ(fairctl.out().starts_with("The dataplane is not connected: counters and links are"),
              hits);
  }
}

std::string StatsReply(int received) {
  return R"({"totals":{"rx":)" + std::to_string(received) +
         R"(,"tx":5,"generated":0,"to_kernel":1,"drops":{"no_frontend":4}},
    "flows":{"capacity":64,"records":3,"new":9,"evicted":0,"untracked":0},
    "services":[{"name":"web","packets":5,"bytes":500,"drops":2,"backends":[
      {"address":"10.0.0.1","packets":5,"bytes":500,"flows":3,"new_flows":9}]}]})";
}

TEST(Stats, WatchShowsRatesFromTheSecondRoundOn) {
  Harness fairctl;
  fairctl.Answer(200, StatsReply(10)).Answer(200, StatsReply(2010));
  EXPECT_EQ(fairctl.Run({"stats", "--watch", "--count", "2", "--interval", "500ms"}), kExitOk);
  EXPECT_EQ(fairctl.sleeps(), 1);
  EXPECT_THAT(fairctl.out(), HasSubstr("received                 10           -\n"));
  EXPECT_THAT(fairctl.out(), HasSubstr("received               2010        4.0k\n"));
  EXPECT_THAT(fairctl.out(), HasSubstr("dropped: no_frontend      4           0\n"));
}

TEST(Stats, ShowsThePortCountersOutsideThePipeline) {
  Harness fairctl;
  Json reply = Json::parse(StatsReply(10));
  reply["ports"] = Json::parse(R"([
      {"name":"wan","interface":"eth0","steering":{"attached":true,"to_dataplane":60,"to_kernel":30,"no_socket":2},
       "link":{"up":true,"speed_mbps":25000,"changes":1}},
      {"name":"lan","interface":"lan0","kernel_path":{"delivered":5,"lost":1,"received":9,"sent":8,"unsent":1},
       "link":{"up":false,"speed_mbps":0,"changes":4},
       "nic":{"rx_missed":11,"rx_errors":12,"rx_no_buffer":13,"tx_errors":14}}])");
  fairctl.Answer(200, reply.dump());
  EXPECT_EQ(fairctl.Run({"stats"}), kExitOk);
  for (const char* row :
       {"wan: steered to the dataplane +60 ", "wan: steered to the kernel +30 ",
        "wan: steered to a queue without a worker +2 ", "lan: TAP, delivered to the kernel +5 ",
        "lan: TAP, not delivered to the kernel +1 ", "lan: TAP, sent for the kernel +8 ",
        "lan: TAP, not sent for the kernel +1 ", "lan: NIC, missed .queues full. +11 ",
        "lan: NIC, received with errors +12 ", "lan: NIC, no packet buffer free +13 ",
        "lan: NIC, not sent because of errors +14 "}) {
    EXPECT_THAT(fairctl.out(), ContainsRegex(row));
  }
  EXPECT_THAT(fairctl.out(), HasSubstr("\nport wan: link up, 25000 Mbit/s, 1 change since start\n"
                                       "port lan: link down, 4 changes since start\nflows: "));
}

TEST(Stats, ShowsTheLongestPauseOfEachWorker) {
  Harness fairctl;
  Json reply = Json::parse(StatsReply(10));
  fairctl.Answer(200, reply.dump());
  EXPECT_EQ(fairctl.Run({"stats"}), kExitOk);
  EXPECT_THAT(fairctl.out(), Not(HasSubstr("workers:")));
  reply["dataplane"] = Json::parse(R"({"workers":2,"longest_pauses_us":[1500,250400]})");
  fairctl.Answer(200, reply.dump());
  EXPECT_EQ(fairctl.Run({"stats"}), kExitOk);
  EXPECT_THAT(fairctl.out(),
              HasSubstr("workers: longest pause between two polls since start 1.5 ms, 250.4 ms\n"));
}

TEST(Stats, WatchAsJsonPrintsOneObjectPerLine) {
  Harness fairctl;
  fairctl.Answer(200, R"({"a":1})").Answer(200, R"({"a":2})");
  EXPECT_EQ(fairctl.Run({"--json", "stats", "--watch", "--count", "2"}), kExitOk);
  EXPECT_EQ(fairctl.out(), "{\"a\":1}\n{\"a\":2}\n");
}

TEST(Explain, AsksFairleaddAndPrintsTheReason) {
  Harness fairctl;
  fairctl.Answer(200, R"({"verdict":"forward","service":"web","slot":7,"hash":"0x1",
    "backend":"10.0.0.1","record":{"backend":"10.0.0.1","age_ms":12,"class":"old","pinned":true,"confirmed":true},
    "next_hop":{"mac":"02:00:00:00:00:01","vlan":5,"interface":"eth1"},"why":"Because."})");
  EXPECT_EQ(fairctl.Run({"explain", "tcp", "198.51.100.7:40000", "203.0.113.10:80"}), kExitOk);
  EXPECT_THAT(
      fairctl.requests(),
      ElementsAre(
          R"(POST /v1/explain {"destination":"203.0.113.10:80","protocol":"tcp","source":"198.51.100.7:40000"})"));
  EXPECT_EQ(fairctl.out(),
            "flow      tcp 198.51.100.7:40000 -> 203.0.113.10:80\n"
            "verdict   forward\n"
            "service   web\n"
            "slot      7, hash 0x1\n"
            "record    backend 10.0.0.1, last packet 12 ms ago, class old, confirmed\n"
            "backend   10.0.0.1\n"
            "next hop  02:00:00:00:00:01 vlan 5 on eth1\n"
            "why       Because.\n");
}

}  // namespace
}  // namespace fairlead::fairctl
