// The mode list of the product does not have the mode of the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/intent/json.h"
#include "lib/mode/mode.h"

namespace fairlead {
namespace {

TEST(ProductModes, AreDsrIpipGueAndNat) { EXPECT_EQ(ModeNames(), "dsr | ipip | gue | nat"); }

TEST(ProductModes, ReachBackendsBehindAGatewayExceptDsr) {
  EXPECT_EQ(RoutedModeNames(), "ipip, gue or nat");
}

TEST(ProductModes, DoNotIncludeTheModeOfATest) {
  EXPECT_EQ(FindMode(4), nullptr);
  const auto service = ServiceFromJson(nlohmann::json::parse(
      R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"], "forwarding": "forward"})"));
  ASSERT_FALSE(service.ok());
  EXPECT_EQ(service.status().message(),
            "forwarding: \"forward\" is not one of dsr | ipip | gue | nat");
}

}  // namespace
}  // namespace fairlead
