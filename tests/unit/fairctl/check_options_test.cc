// The options of a check type that exists only in this test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/intent/checks/for_tests.h"
#include "tests/unit/fairctl/harness.h"

namespace fairlead::fairctl {
namespace {

using ::testing::ElementsAre;
using testing::Harness;
using ::testing::HasSubstr;

constexpr CheckField kFields[] = {
    {.name = "wins", .help = "heads | tails", .default_text = "heads"},
    {.name = "tosses", .help = "how often", .kind = CheckField::Kind::kNumber, .min = 1, .max = 9},
    {.name = "fair", .help = "true | false", .kind = CheckField::Kind::kFlag}};
constinit const CheckType kCoinCheck = {.name = "coin", .number = 200, .fields = kFields};

TEST(CheckOptions, AreMadeFromTheFieldsOfTheCheckType) {
  const ScopedCheckType coin(&kCoinCheck);
  Harness fairctl;
  fairctl.Answer(200, "{}");
  EXPECT_EQ(fairctl.Run({"service", "set", "web", "--health-check", "coin", "--check-wins", "tails",
                         "--check-tosses", "3", "--check-fair", "true"}),
            kExitOk)
      << fairctl.err();
  EXPECT_THAT(
      fairctl.requests(),
      ElementsAre(
          R"(PATCH /v1/services/web {"health_check":{"fair":true,"tosses":3,"type":"coin","wins":"tails"}})"));
  Harness help;
  EXPECT_EQ(help.Run({"service", "set", "--help"}), kExitOk);
  EXPECT_THAT(help.out(), HasSubstr("udp | none | coin (default: tcp"));
}

TEST(CheckOptions, OfNestedSettingsHaveDashes) {
  Harness fairctl;
  fairctl.Answer(200, "{}");
  EXPECT_EQ(fairctl.Run({"service", "set", "web", "--health-check", "grpc", "--check-tls-enabled",
                         "true", "--check-tls-ca-file", "/etc/ca.pem", "--check-tls-verify",
                         "chain", "--check-service", "cart"}),
            kExitOk)
      << fairctl.err();
  EXPECT_THAT(
      fairctl.requests(),
      ElementsAre(
          R"(PATCH /v1/services/web {"health_check":{"service":"cart","tls":{"ca_file":"/etc/ca.pem","enabled":true,"verify":"chain"},"type":"grpc"}})"));
}

TEST(CheckOptions, DoNotExistWithoutTheCheckType) {
  Harness fairctl;
  EXPECT_EQ(fairctl.Run({"service", "set", "web", "--check-wins", "tails"}), kExitUsage);
}

TEST(CheckOptions, AreShownWithTheService) {
  Harness fairctl;
  fairctl.Answer(200, R"({"name": "web", "health_check": {"type": "coin", "interval": "2s",
      "timeout": "1s", "rise": 2, "fall": 3, "ports": "first", "wins": "tails", "tosses": 3,
      "tls": {"verify": "full", "sni": "shop"}}})");
  EXPECT_EQ(fairctl.Run({"service", "show", "web"}), kExitOk);
  EXPECT_THAT(fairctl.out(), HasSubstr("health check   coin every 2s, timeout 1s, rise 2, fall 3, "
                                       "tls sni shop, tls verify full, tosses 3, wins tails\n"));
}

}  // namespace
}  // namespace fairlead::fairctl
