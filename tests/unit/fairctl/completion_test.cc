// `fairctl complete`: what a shell offers for the last word of a command line.
#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fairctl/harness.h"

namespace fairlead::fairctl {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::Harness;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const char kNamedServices[] = R"({"services": [
    {"name": "web", "frontends": ["203.0.113.10:80/tcp", "[2001:db8::10]:80/tcp"]},
    {"name": "dns", "frontends": ["203.0.113.10:53/udp"]}]})";
const char kNamedBackends[] = R"({"backends": [
    {"address": "10.0.0.11", "state": "healthy"},
    {"address": "2001:db8:a::11", "port": 8080, "state": "draining"}]})";

struct Line {
  const char* name;
  std::vector<std::string> words;
  const char* output;
};

// Lines that need no fairleadd.
const Line kLines[] = {
    {"FirstLettersOfACommand",
     {"se"},
     "words\nservice\tServices: add, list, show, set, remove\n"
     "seed\tThe group's hash seed: show, set\n"},
    {"CommandOfAGroup", {"service", "sh"}, "words\nshow\tOne service and its backends\n"},
    {"CommandAfterGlobalOptions",
     {"--json", "--socket", "service", "--request-timeout=1s", "service", "sh"},
     "words\nshow\tOne service and its backends\n"},
    {"NoSuchCommand", {"servce", ""}, "words\n"},
    {"Option",
     {"backend", "drain", "--wa"},
     "words\n--wait\treturn when it is safe to stop the backend\n"},
    {"OptionThatNegatesAnother",
     {"service", "set", "web", "--no-m"},
     "words\n--no-mss-clamp\tnat: lower the MSS of SYN and SYN-ACK to what the ports' MTUs allow "
     "(default false)\n"},
    {"GlobalOptionAfterTheCommand",
     {"status", "--js"},
     "words\n--json\tprint JSON, for programs\n"},
    {"WordsOfAnOption", {"service", "add", "--hash", ""}, "words\n5-tuple\n3-tuple\nsource-ip\n"},
    {"WordsAfterAnEqualsSign", {"service", "add", "--hash=5"}, "words\n--hash=5-tuple\n"},
    {"CheckTypes",
     {"service", "set", "web", "--health-check", ""},
     "words\ntcp\nhttp\nhttps\ngrpc\nudp\nnone\n"},
    {"WordsOfACheckSetting",
     {"service", "set", "web", "--check-tls-verify", ""},
     "words\nfull\nchain\nnone\n"},
    {"FileOfACheckSetting", {"service", "set", "web", "--check-tls-ca-file", ""}, "files\n"},
    {"CheckPorts", {"service", "set", "web", "--check-ports", "a"}, "words\nall\n"},
    {"FreeText", {"backend", "drain", "--timeout", ""}, "words\n"},
    {"NewName", {"service", "add", ""}, "words\n"},
    {"NewBackend", {"backend", "add", "web", ""}, "words\n"},
    {"Protocol", {"explain", ""}, "words\ntcp\nudp\n"},
    {"SecondArgument", {"explain", "tcp", ""}, "words\n"},
    {"Shell", {"completion", "z"}, "words\nzsh\n"},
    {"File", {"snapshot", "show", "x"}, "files\n"},
    {"FileOfAnOption", {"snapshot", "build", "services.yaml", "-o", ""}, "files\n"},
    {"FileAfterAnEqualsSign", {"snapshot", "build", "--output=im"}, "files\n"},
    {"Socket", {"--socket", "/ru"}, "files\n"},
    {"NoOptionAfterTwoDashes", {"snapshot", "show", "--", "-"}, "files\n"},
};

class CompletionWithoutFairleadd : public ::testing::TestWithParam<Line> {};

TEST_P(CompletionWithoutFairleadd, OffersWhatFits) {
  Harness fairctl;
  std::vector<std::string> words = GetParam().words;
  words.insert(words.begin(), "complete");
  EXPECT_EQ(fairctl.Run(words), kExitOk);
  EXPECT_EQ(fairctl.out(), GetParam().output);
  EXPECT_EQ(fairctl.err(), "");
  EXPECT_THAT(fairctl.requests(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, CompletionWithoutFairleadd, ::testing::ValuesIn(kLines),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Completion, OffersServicesWithTheirFrontends) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"complete", "backend", "drain", ""},
           {"complete", "backend", "add", ""},
           {"complete", "service", "set", "--hash", "5-tuple", ""}}) {
    Harness fairctl;
    EXPECT_EQ(fairctl.Answer(200, kNamedServices).Run(words), kExitOk);
    EXPECT_EQ(fairctl.out(),
              "words\nweb\t203.0.113.10:80/tcp, [2001:db8::10]:80/tcp\ndns\t203.0.113.10:53/udp\n");
    EXPECT_THAT(fairctl.requests(), ElementsAre("GET /v1/services"));
  }
}

TEST(Completion, OffersTheBackendsOfTheServiceBefore) {
  Harness fairctl;
  fairctl.Answer(200, kNamedBackends);
  EXPECT_EQ(fairctl.Run({"complete", "backend", "drain", "--wait", "web", ""}), kExitOk);
  EXPECT_EQ(fairctl.out(), "words\n10.0.0.11\thealthy\n[2001:db8:a::11]:8080\tdraining\n");
  EXPECT_THAT(fairctl.requests(), ElementsAre("GET /v1/services/web/backends"));
}

TEST(Completion, OffersOptionsWhenTheCommandTakesNoMoreArguments) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Run({"complete", "backend", "drain", "web", "10.0.0.11", ""}), kExitOk);
  EXPECT_THAT(fairctl.out(), AllOf(HasSubstr("\n--wait\t"), HasSubstr("\n--timeout\t"),
                                   HasSubstr("\n--json\t"), Not(HasSubstr("\n-h"))));
  EXPECT_THAT(fairctl.requests(), IsEmpty());
}

TEST(Completion, OffersNothingWithoutFairleadd) {
  Harness fairctl;
  EXPECT_EQ(fairctl.FailToConnect().Run({"complete", "backend", "drain", ""}), kExitOk);
  EXPECT_EQ(fairctl.out(), "words\n");
  EXPECT_EQ(fairctl.err(), "");
}

TEST(Completion, AsksAtTheSocketOfTheCommandLine) {
  for (const char* socket : {"--socket=/tmp/x", "--socket"}) {
    Harness fairctl;
    std::vector<std::string> words = {"complete", socket, "backend", "list", ""};
    if (std::string(socket) == "--socket") words.insert(words.begin() + 2, "/tmp/x");
    EXPECT_EQ(fairctl.Answer(200, kNamedServices).Run(words), kExitOk);
    EXPECT_EQ(fairctl.socket(), "/tmp/x");
  }
}

TEST(Completion, IsNotInTheHelp) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Run({"--help"}), kExitOk);
  EXPECT_THAT(fairctl.out(), AllOf(HasSubstr("\n  completion "), Not(HasSubstr("\n  complete "))));
}

TEST(Completion, HasAScriptForEachShell) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    Harness fairctl;
    EXPECT_EQ(fairctl.Run({"completion", shell}), kExitOk);
    EXPECT_THAT(fairctl.out(), AllOf(StartsWith("#"), HasSubstr(" complete ")));
  }
  Harness fairctl;
  EXPECT_EQ(fairctl.Run({"completion", "ksh"}), kExitUsage);
  EXPECT_THAT(fairctl.err(), HasSubstr("ksh"));
}

}  // namespace
}  // namespace fairlead::fairctl
