#include "lib/intent/model.h"

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::StartsWith;

BackendSpec MakeBackend(const char* endpoint) {
  BackendSpec backend;
  backend.endpoint = Endpoint::Parse(endpoint).value();
  return backend;
}

ServiceSpec MakeService(const char* name, const char* frontend) {
  ServiceSpec service;
  service.name = name;
  service.frontends = {Frontend::Parse(frontend).value()};
  service.backends = {MakeBackend("10.0.0.11"), MakeBackend("10.0.0.12")};
  return service;
}

struct BadService {
  const char* name;
  void (*change)(ServiceSpec*);
  const char* message;
};

const BadService kBadServices[] = {
    {"NameTooLong", [](ServiceSpec* s) { s->name = std::string(64, 'a'); },
     "service aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: name: "},
    {"NameWithDash", [](ServiceSpec* s) { s->name = "-web"; }, "service -web: name: -web is not"},
    {"NameWithSlash", [](ServiceSpec* s) { s->name = "a/b"; }, "service a/b: name: a/b is not"},
    {"TooManyFrontends",
     [](ServiceSpec* s) {
       for (uint16_t i = 0; i < kMaxFrontendsPerService; ++i) {
         s->frontends.push_back(s->frontends[0]);
       }
     },
     "service web: frontends: 257 are more than 256"},
    {"FrontendUnusable",
     [](ServiceSpec* s) { s->frontends[0].address = IpAddress::Parse("127.0.0.1").value(); },
     "service web: frontends[0]: 127.0.0.1:80/tcp is not on a usable"},
    {"FrontendTwice", [](ServiceSpec* s) { s->frontends.push_back(s->frontends[0]); },
     "service web: frontends[1]: 203.0.113.10:80/tcp appears twice"},
    {"Ipip", [](ServiceSpec* s) { s->forwarding = ForwardingMode::kIpip; },
     "service web: forwarding: ipip is not in this build, which forwards dsr only"},
    {"Gue", [](ServiceSpec* s) { s->forwarding = ForwardingMode::kGue; },
     "service web: forwarding: gue is not in this build, which forwards dsr only"},
    {"IdleTimeout", [](ServiceSpec* s) { s->idle_timeout_ms = 86'401'000; },
     "service web: idle_timeout: 86401s is not within 1s..24h"},
    {"CheckTimeoutZero", [](ServiceSpec* s) { s->health_check.timeout_ms = 0; },
     "service web: health_check.timeout: 0s is not above 0s"},
    {"AnyPortWithoutCheckPort", [](ServiceSpec* s) { s->frontends[0].port = 0; },
     "service web: health_check.port: missing: the first frontend, 203.0.113.10:0/tcp"},
    {"SlotCount", [](ServiceSpec* s) { s->slot_count = 65536; },
     "service web: slot_count: 65536 is not a prime"},
    {"BackendUnusable", [](ServiceSpec* s) { s->backends[0] = MakeBackend("224.0.0.1"); },
     "service web: backends[0].address: 224.0.0.1 is not a usable"},
    {"BackendIsOwnFrontend", [](ServiceSpec* s) { s->backends[1] = MakeBackend("203.0.113.10"); },
     "service web: backends[1].address: 203.0.113.10 is a frontend of this service"},
    {"BackendPort", [](ServiceSpec* s) { s->backends[1] = MakeBackend("10.0.0.1:81"); },
     "service web: backends[1].port: 81 is not a frontend's port: another port needs nat"},
    {"BackendWeight", [](ServiceSpec* s) { s->backends[1].weight = 1001; },
     "service web: backends[1].weight: 1001 is not within 0..1000"},
    {"BackendTwice", [](ServiceSpec* s) { s->backends[1] = MakeBackend("10.0.0.11:80"); },
     "service web: backends[1]: 10.0.0.11 appears twice"},
    {"BackendMacGroup",
     [](ServiceSpec* s) { s->backends[0].mac = MacAddress::Parse("01:00:5e:00:00:01").value(); },
     "service web: backends[0].mac: 01:00:5e:00:00:01 is not one station's"},
    {"BackendVlanZero",
     [](ServiceSpec* s) {
       s->backends[0].mac = MacAddress::Parse("02:00:00:00:00:01").value();
       s->backends[0].vlan = 0;
     },
     "service web: backends[0].vlan: 0 is not within 1..4094"},
    {"BackendVlanWithoutMac", [](ServiceSpec* s) { s->backends[0].vlan = 5; },
     "service web: backends[0].vlan: 5 needs mac beside it"},
};

class ValidateServiceRefuses : public ::testing::TestWithParam<BadService> {};

TEST_P(ValidateServiceRefuses, AndNamesServiceFieldAndValue) {
  ServiceSpec service = MakeService("web", "203.0.113.10:80/tcp");
  ASSERT_TRUE(ValidateService(service).ok());
  GetParam().change(&service);
  const Status status = ValidateService(service);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.message(), StartsWith(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Services, ValidateServiceRefuses, ::testing::ValuesIn(kBadServices),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ValidateService, AcceptsTheEdgesOfEveryRange) {
  ServiceSpec service = MakeService("0.a_b-c", "203.0.113.10:0/tcp");
  service.name += std::string(63 - service.name.size(), 'z');
  service.health_check.port = 1;
  service.idle_timeout_ms = 1000;
  service.drain_timeout_ms = 0;
  service.backends[0].weight = 1000;
  service.backends[1].weight = 0;
  EXPECT_TRUE(ValidateService(service).ok()) << ValidateService(service).message();
  service.idle_timeout_ms = 86'400'000;
  service.drain_timeout_ms = 3'600'000;
  EXPECT_TRUE(ValidateService(service).ok());
}

TEST(ValidateService, DsrTakesABackendOfTheOtherFamily) {
  ServiceSpec service = MakeService("web", "[2001:db8::10]:80/tcp");
  EXPECT_TRUE(ValidateService(service).ok());
}

IntentSpec TwoServices() {
  IntentSpec intent;
  intent.services = {MakeService("web", "203.0.113.10:80/tcp"),
                     MakeService("api", "203.0.113.11:80/tcp")};
  return intent;
}

TEST(ValidateIntent, ServicesMayShareBackendsAndAddresses) {
  IntentSpec intent = TwoServices();
  intent.services[1].frontends = {Frontend::Parse("203.0.113.10:0/tcp").value()};
  intent.services[1].health_check.port = 80;
  EXPECT_TRUE(ValidateIntent(intent).ok()) << ValidateIntent(intent).message();
}

TEST(ValidateIntent, RefusesTwoServicesOfOneName) {
  IntentSpec intent = TwoServices();
  intent.services[1].name = "web";
  EXPECT_EQ(ValidateIntent(intent).code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ValidateIntent(intent).message(), "services[1].name: web appears twice");
}

TEST(ValidateIntent, RefusesAFrontendOfTwoServices) {
  IntentSpec intent = TwoServices();
  intent.services[1].frontends.push_back(intent.services[0].frontends[0]);
  EXPECT_EQ(ValidateIntent(intent).code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ValidateIntent(intent).message(),
            "services[1].frontends[1]: 203.0.113.10:80/tcp belongs to service web already");
}

TEST(ValidateIntent, RefusesABackendThatIsAFrontendOfAnotherService) {
  IntentSpec intent = TwoServices();
  intent.services[0].backends.push_back(MakeBackend("203.0.113.11"));
  EXPECT_EQ(ValidateIntent(intent).code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(ValidateIntent(intent).message(),
              StartsWith("services[0].backends[2].address: 203.0.113.11 is a frontend of service "
                         "api: packets"));
}

TEST(ValidateIntent, NamesAServiceByItsPlace) {
  IntentSpec intent = TwoServices();
  intent.services[1].backends[0].weight = 2000;
  EXPECT_EQ(ValidateIntent(intent).message(),
            "services[1].backends[0].weight: 2000 is not within 0..1000");
}

TEST(NormalizeEndpoint, DropsAFrontendsPortUnlessTheModeIsNat) {
  ServiceSpec service = MakeService("web", "203.0.113.10:80/tcp");
  const Endpoint with_port = Endpoint::Parse("10.0.0.11:80").value();
  const Endpoint other_port = Endpoint::Parse("10.0.0.11:81").value();
  EXPECT_EQ(NormalizeEndpoint(service, with_port).ToString(), "10.0.0.11");
  EXPECT_EQ(NormalizeEndpoint(service, other_port), other_port);
  service.forwarding = ForwardingMode::kNat;
  EXPECT_EQ(NormalizeEndpoint(service, with_port), with_port);
}

TEST(FindBackend, TakesTheExactEndpointElseTheOneWithoutAFrontendsPort) {
  ServiceSpec service = MakeService("web", "203.0.113.10:80/tcp");
  const auto find = [&](const char* text) {
    return FindBackend(service, Endpoint::Parse(text).value());
  };
  EXPECT_EQ(find("10.0.0.12"), &service.backends[1]);
  EXPECT_EQ(find("10.0.0.12:80"), &service.backends[1]);
  EXPECT_EQ(find("10.0.0.12:81"), nullptr);
  EXPECT_EQ(find("10.0.0.13"), nullptr);
  service.backends.push_back(MakeBackend("10.0.0.12:80"));
  EXPECT_EQ(find("10.0.0.12:80"), &service.backends[2]);
  EXPECT_EQ(find("10.0.0.12"), &service.backends[1]);
}

TEST(ProposeIds, AreStableDistinctAndNeverZero) {
  const Endpoint endpoint = Endpoint::Parse("10.0.0.11").value();
  const Endpoint other = Endpoint::Parse("10.0.0.12").value();
  EXPECT_EQ(ProposeBackendId("web", endpoint, 0), ProposeBackendId("web", endpoint, 0));
  const std::set<uint32_t> ids = {ProposeBackendId("web", endpoint, 0),
                                  ProposeBackendId("web", endpoint, 1),
                                  ProposeBackendId("web", other, 0),
                                  ProposeBackendId("api", endpoint, 0),
                                  ProposeServiceId("web", 0),
                                  ProposeServiceId("web", 1),
                                  ProposeServiceId("api", 0)};
  EXPECT_EQ(ids.size(), 7U);
  EXPECT_EQ(ids.count(0), 0U);
}

// Flow records of running dataplanes hold these: another value would orphan them at an upgrade.
TEST(ProposeIds, AreTheSameInEveryRelease) {
  EXPECT_EQ(ProposeBackendId("web", Endpoint::Parse("10.0.0.11").value(), 0), 998006909U);
  EXPECT_EQ(ProposeServiceId("web", 0), 3439954032U);
}

}  // namespace
}  // namespace fairlead
