#include "lib/intent/checks/checked_frontends.h"

#include <gtest/gtest.h>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

struct Row {
  const char* name;
  const char* service;       // JSON without the name
  const char* checked;       // "index:port ..."
  const char* why_not = "";  // WhyNotThroughDataplane
  const char* refused = "";  // the message; empty: valid
};

const Row kRows[] = {
    {"FirstFrontend", R"("frontends": ["203.0.113.1:80/tcp", "203.0.113.1:443/tcp"])", "0:80"},
    {"FirstOfTheProtocol", R"("frontends": ["203.0.113.1:53/udp", "203.0.113.1:53/tcp"])", "1:53"},
    {"FirstPortOfARange", R"("frontends": ["203.0.113.1:8000-8999/tcp"])", "0:8000"},
    {"SkipsAnyPort",
     R"("frontends": ["203.0.113.1:53/udp", "203.0.113.1:0/tcp", "203.0.113.1:80/tcp"])", "2:80"},
    {"AllPorts",
     R"("frontends": ["203.0.113.1:80/tcp", "203.0.113.1:53/udp", "[2001:db8::1]:443/tcp"],
        "health_check": {"ports": "all"})",
     "0:80 2:443"},
    {"PortOfARange",
     R"("frontends": ["203.0.113.1:80/tcp", "203.0.113.1:8000-8999/tcp"],
        "health_check": {"port": 8080})",
     "1:8080"},
    {"PortOfAnyPort", R"("frontends": ["203.0.113.1:0/tcp"], "health_check": {"port": 22})",
     "0:22"},
    {"NamedFrontend",
     R"("frontends": ["203.0.113.1:80/tcp", "203.0.113.2:80/tcp"],
        "health_check": {"frontend": "203.0.113.2:80/tcp"})",
     "1:80"},
    {"PortOfNoFrontend", R"("frontends": ["203.0.113.1:80/tcp"], "health_check": {"port": 8080})",
     "", "no tcp frontend has port 8080"},
    {"UdpOnly",
     R"("frontends": ["203.0.113.1:53/udp"], "health_check": {"type": "tcp", "port": 53})", "",
     "no tcp frontend has port 53"},
    {"NatHasDirectChecks", R"("forwarding": "nat", "frontends": ["203.0.113.1:80/tcp"])", "0:80",
     "forwarding nat has direct checks only"},
    {"NoCheck", R"("frontends": ["203.0.113.1:80/tcp"], "health_check": {"type": "none"})", ""},
    {"ForeignFrontend",
     R"("frontends": ["203.0.113.1:80/tcp"], "health_check": {"frontend": "203.0.113.2:80/tcp"})",
     "", "no tcp frontend names a port",
     "health_check.frontend: 203.0.113.2:80/tcp is not a frontend of this service"},
    {"FrontendOfAnotherProtocol",
     R"("frontends": ["203.0.113.1:80/tcp", "203.0.113.1:53/udp"],
        "health_check": {"frontend": "203.0.113.1:53/udp"})",
     "1:53", "",
     "health_check.frontend: 203.0.113.1:53/udp cannot be checked by a tcp check; name "
     "a tcp frontend, or use another type"},
    {"FrontendAndAllPorts",
     R"("frontends": ["203.0.113.1:80/tcp"],
        "health_check": {"frontend": "203.0.113.1:80/tcp", "ports": "all"})",
     "0:80", "",
     "health_check.frontend: 203.0.113.1:80/tcp cannot be combined with ports: all; "
     "remove one of them"},
    {"FrontendWithoutThePort",
     R"("frontends": ["203.0.113.1:80/tcp"],
        "health_check": {"frontend": "203.0.113.1:80/tcp", "port": 81})",
     "", "no tcp frontend has port 81",
     "health_check.frontend: 203.0.113.1:80/tcp does not have port 81; remove "
     "health_check.port, or name the frontend that has it"},
    {"FrontendForAnyPort",
     R"("frontends": ["203.0.113.1:0/tcp"], "health_check": {"frontend": "203.0.113.1:0/tcp"})", "",
     "no tcp frontend names a port",
     "health_check.frontend: 203.0.113.1:0/tcp is for any port; set "
     "health_check.port, too"},
    {"ThroughTheDataplaneWithNat",
     R"("forwarding": "nat", "frontends": ["203.0.113.1:80/tcp"],
        "health_check": {"via": "dataplane"})",
     "0:80", "forwarding nat has direct checks only",
     "health_check.via: dataplane is not possible: forwarding nat has direct checks "
     "only; use direct"},
    {"ThroughTheDataplaneOnNoFrontend",
     R"("frontends": ["203.0.113.1:80/tcp"], "health_check": {"via": "dataplane", "port": 8080})",
     "", "no tcp frontend has port 8080",
     "health_check.via: dataplane is not possible: no tcp frontend has port 8080; use "
     "direct"},
};

class CheckedFrontendsTest : public ::testing::TestWithParam<Row> {};

TEST_P(CheckedFrontendsTest, FollowTheChecksSettings) {
  const Row& row = GetParam();
  const auto json = ParseJson(std::string(R"({"name": "a", )") + row.service + "}");
  ASSERT_TRUE(json.ok()) << json.status().message();
  const Result<ServiceSpec> service = ServiceFromJson(*json);
  ASSERT_EQ(service.status().message(), row.refused);
  if (!service.ok()) return;
  std::string checked;
  for (const CheckedFrontend& each : CheckedFrontends(*service)) {
    checked +=
        (checked.empty() ? "" : " ") + std::to_string(each.index) + ":" + std::to_string(each.port);
  }
  EXPECT_EQ(checked, row.checked);
  EXPECT_EQ(WhyNotThroughDataplane(*service), row.why_not);
  // What was decoded is written again.
  const Result<ServiceSpec> again = ServiceFromJson(ServiceToJson(*service));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->health_check, service->health_check);
}

INSTANTIATE_TEST_SUITE_P(All, CheckedFrontendsTest, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(CheckPathTest, IsUnsetUnlessAskedFor) {
  const auto read = [](const char* check) {
    return ServiceFromJson(*ParseJson(
        std::string(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "health_check": )") +
        check + "}"));
  };
  EXPECT_EQ(read("{}")->health_check.via, std::nullopt);
  EXPECT_EQ(read(R"({"via": null})")->health_check.via, std::nullopt);
  EXPECT_EQ(read(R"({"via": "direct"})")->health_check.via, CheckVia::kDirect);
  EXPECT_EQ(read(R"({"via": "dataplane"})")->health_check.via, CheckVia::kDataplane);
  EXPECT_EQ(read(R"({"via": "tunnel"})").status().message(),
            "health_check.via: \"tunnel\" is not one of dataplane | direct");
  EXPECT_FALSE(ServiceToJson(*read("{}"))["health_check"].contains("via"));
  EXPECT_TRUE(ChecksThroughDataplane(*read("{}")));
  EXPECT_FALSE(ChecksThroughDataplane(*read(R"({"via": "direct"})")));
}

}  // namespace
}  // namespace fairlead
