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

const BadService kInvalidServices[] = {
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
    {"GuePortWithoutGue", [](ServiceSpec* s) { s->gue_port = 6080; },
     "service web: gue_port: 6080 needs forwarding: gue, but it is dsr"},
    {"GuePortZero",
     [](ServiceSpec* s) {
       s->forwarding = ForwardingMode::kGue;
       s->gue_port = 0;
     },
     "service web: gue_port: 0 is not within 1..65535"},
    {"GueChecksumWithoutGue",
     [](ServiceSpec* s) {
       s->forwarding = ForwardingMode::kIpip;
       s->gue_checksum = true;
     },
     "service web: gue_checksum: true needs forwarding: gue, but it is ipip"},
    {"SecondChanceWithoutGue", [](ServiceSpec* s) { s->second_chance = true; },
     "service web: second_chance: true needs forwarding: gue, but it is dsr"},
    {"OutlierWithoutTcp",
     [](ServiceSpec* s) {
       s->frontends = {Frontend::Parse("203.0.113.10:53/udp").value()};
       s->health_check.type = &kNoneCheck;
       s->outlier = OutlierPolicy::kEject;
     },
     "service web: outlier: eject needs a TCP frontend: TCP handshakes show whether a backend "
     "answers"},
    {"MssClampWithoutNat", [](ServiceSpec* s) { s->mss_clamp = true; },
     "service web: mss_clamp: true needs forwarding: nat, but it is dsr"},
    {"AnotherPortThroughATunnel",
     [](ServiceSpec* s) {
       s->forwarding = ForwardingMode::kGue;
       s->backends[1] = MakeBackend("10.0.0.1:81");
     },
     "service web: backends[1].port: 81 is not a frontend's port: another port needs nat"},
    {"NatAcrossFamilies",
     [](ServiceSpec* s) {
       s->forwarding = ForwardingMode::kNat;
       s->backends[1] = MakeBackend("2001:db8:a::1");
     },
     "service web: backends[1].address: 2001:db8:a::1 and frontend 203.0.113.10:80/tcp differ in "
     "family"},
    {"NatTwoFrontendsOneBackendPort",
     [](ServiceSpec* s) {
       s->forwarding = ForwardingMode::kNat;
       s->frontends.push_back(Frontend::Parse("203.0.113.10:443/tcp").value());
       s->backends[1] = MakeBackend("10.0.0.1:8080");
     },
     "service web: backends[1]: replies from 10.0.0.1:8080/tcp would belong to frontend "
     "203.0.113.10:443/tcp as well as to 203.0.113.10:80/tcp of service web"},
    {"NatAnyPortFrontendWithABackendsPort",
     [](ServiceSpec* s) {
       s->forwarding = ForwardingMode::kNat;
       s->health_check.port = 80;
       s->frontends[0].port = 0;
       s->backends[1] = MakeBackend("10.0.0.1:8080");
     },
     "service web: backends[1].port: 8080 for frontend 203.0.113.10:0/tcp, which is for any port"},
    {"NatRangeWithABackendsPort",
     [](ServiceSpec* s) {
       s->forwarding = ForwardingMode::kNat;
       s->frontends = {Frontend::Parse("203.0.113.10:80-89/tcp").value()};
       s->backends[1] = MakeBackend("10.0.0.1:8080");
     },
     "service web: backends[1].port: 8080 for frontend 203.0.113.10:80-89/tcp, which is for a "
     "range "
     "of ports: replies would be ambiguous"},
    {"CheckOfAPortAndOfAll",
     [](ServiceSpec* s) {
       s->health_check.port = 80;
       s->health_check.all_ports = true;
     },
     "service web: health_check.ports: all cannot be combined with port 80"},
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
     "service web: backends[0].mac: 01:00:5e:00:00:01 is not a unicast MAC"},
    {"BackendVlanZero",
     [](ServiceSpec* s) {
       s->backends[0].mac = MacAddress::Parse("02:00:00:00:00:01").value();
       s->backends[0].vlan = 0;
     },
     "service web: backends[0].vlan: 0 is not within 1..4094"},
    {"BackendVlanWithoutMac", [](ServiceSpec* s) { s->backends[0].vlan = 5; },
     "service web: backends[0].vlan: 5 needs mac, too"},
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

INSTANTIATE_TEST_SUITE_P(Services, ValidateServiceRefuses, ::testing::ValuesIn(kInvalidServices),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ValidateService, AcceptsTheLimitsOfEveryRange) {
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

TEST(ValidateService, DsrAcceptsABackendOfTheOtherFamily) {
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

TEST(ValidateIntent, RefusesTwoServicesWithOneName) {
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
            "services[1].frontends[1]: 203.0.113.10:80/tcp already belongs to service web");
}

TEST(ValidateIntent, RefusesABackendThatIsAFrontendOfAnotherService) {
  IntentSpec intent = TwoServices();
  intent.services[0].backends.push_back(MakeBackend("203.0.113.11"));
  EXPECT_EQ(ValidateIntent(intent).code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(ValidateIntent(intent).message(),
              StartsWith("services[0].backends[2].address: 203.0.113.11 is a frontend of service "
                         "api: packets"));
}

TEST(ValidateIntent, NamesAServiceByItsIndex) {
  IntentSpec intent = TwoServices();
  intent.services[1].backends[0].weight = 2000;
  EXPECT_EQ(ValidateIntent(intent).message(),
            "services[1].backends[0].weight: 2000 is not within 0..1000");
}

// Services web and api, both nat, with the frontends and the backends of a row.
struct NatPair {
  const char* name;
  const char* first_frontend;
  const char* first_backend;
  const char* second_frontend;
  const char* second_backend;
  const char* message;  // null: accepted
};

const NatPair kNatPairs[] = {
    {"SamePortOfOneBackend", "203.0.113.10:80/tcp", "10.0.0.11", "203.0.113.11:80/tcp", "10.0.0.11",
     "services[1].backends[0]: replies from 10.0.0.11:80/tcp would belong to frontend "
     "203.0.113.11:80/tcp as well as to 203.0.113.10:80/tcp of service web"},
    {"ExplicitAndImplicitPort", "203.0.113.10:80/tcp", "10.0.0.11", "203.0.113.11:81/tcp",
     "10.0.0.11:80", "services[1].backends[0]: replies from 10.0.0.11:80/tcp would belong to"},
    {"AnotherPort", "203.0.113.10:80/tcp", "10.0.0.11", "203.0.113.11:80/tcp", "10.0.0.11:8080",
     nullptr},
    {"AnotherProtocol", "203.0.113.10:80/tcp", "10.0.0.11", "203.0.113.11:80/udp", "10.0.0.11",
     nullptr},
    {"AnotherBackend", "203.0.113.10:80/tcp", "10.0.0.11", "203.0.113.11:80/tcp", "10.0.0.12",
     nullptr},
    {"AnyPortCoversAnotherAddress", "203.0.113.10:0/tcp", "10.0.0.11", "203.0.113.11:80/tcp",
     "10.0.0.11",
     "services[1].backends[0]: replies from 10.0.0.11:80/tcp would belong to frontend "
     "203.0.113.11:80/tcp as well as to 203.0.113.10:0/tcp of service web"},
    {"AnyPortComesSecond", "203.0.113.11:80/tcp", "10.0.0.11", "203.0.113.10:0/tcp", "10.0.0.11",
     "services[1].backends[0]: replies from 10.0.0.11:80/tcp would belong to frontend "
     "203.0.113.10:0/tcp as well as to 203.0.113.11:80/tcp of service web"},
    {"RangeCoversAnotherAddress", "203.0.113.10:80-90/tcp", "10.0.0.11", "203.0.113.11:90/tcp",
     "10.0.0.11",
     "services[1].backends[0]: replies from 10.0.0.11:90/tcp would belong to frontend "
     "203.0.113.11:90/tcp as well as to 203.0.113.10:80-90/tcp of service web"},
    {"RangeComesSecond", "203.0.113.11:85/tcp", "10.0.0.11", "203.0.113.10:80-90/tcp", "10.0.0.11",
     "services[1].backends[0]: replies from 10.0.0.11:85/tcp would belong to frontend "
     "203.0.113.10:80-90/tcp as well as to 203.0.113.11:85/tcp of service web"},
    {"RangesOfTwoAddressesOverlap", "203.0.113.11:70-80/tcp", "10.0.0.11", "203.0.113.10:80-90/tcp",
     "10.0.0.11",
     "services[1].backends[0]: replies from 10.0.0.11:80/tcp would belong to frontend "
     "203.0.113.10:80-90/tcp as well as to 203.0.113.11:70-80/tcp of service web"},
    {"RangesOfTwoAddressesApart", "203.0.113.11:70-79/tcp", "10.0.0.11", "203.0.113.10:80-90/tcp",
     "10.0.0.11", nullptr},
    {"RangesOfTwoProtocols", "203.0.113.11:70-80/tcp", "10.0.0.11", "203.0.113.10:80-90/udp",
     "10.0.0.11", nullptr},
    {"RangeInARangeOfTheSameAddress", "203.0.113.10:70-99/tcp", "10.0.0.11",
     "203.0.113.10:80-90/tcp", "10.0.0.11", nullptr},
    {"RangeAndAnExactOneOfTheSameAddress", "203.0.113.10:70-99/tcp", "10.0.0.11",
     "203.0.113.10:80/tcp", "10.0.0.11", nullptr},
    {"RangeAndATranslatedPort", "203.0.113.10:70-99/tcp", "10.0.0.11", "203.0.113.10:8000/tcp",
     "10.0.0.11:80", "services[1].backends[0]: replies from 10.0.0.11:80/tcp would belong to"},
    {"AnyPortAndAnExactOneOfTheSameAddress", "203.0.113.10:0/tcp", "10.0.0.11",
     "203.0.113.10:80/tcp", "10.0.0.11", nullptr},
    {"AnyPortAndATranslatedPort", "203.0.113.10:0/tcp", "10.0.0.11", "203.0.113.10:80/tcp",
     "10.0.0.11:8080", "services[1].backends[0]: replies from 10.0.0.11:8080/tcp would belong to"},
};

class NatBetweenServices : public ::testing::TestWithParam<NatPair> {};

TEST_P(NatBetweenServices, AllowsOneFrontendForEachBackendPort) {
  const NatPair& row = GetParam();
  IntentSpec intent;
  intent.services = {MakeService("web", row.first_frontend),
                     MakeService("api", row.second_frontend)};
  intent.services[0].backends = {MakeBackend(row.first_backend)};
  intent.services[1].backends = {MakeBackend(row.second_backend)};
  for (ServiceSpec& service : intent.services) {
    service.forwarding = ForwardingMode::kNat;
    service.health_check.port = 80;
  }
  const Status status = ValidateIntent(intent);
  if (row.message == nullptr) {
    EXPECT_TRUE(status.ok()) << status.message();
    return;
  }
  EXPECT_EQ(status.code(), ErrorCode::kAlreadyExists);
  EXPECT_THAT(status.message(), StartsWith(row.message));
  // ipip has no such restriction.
  for (ServiceSpec& service : intent.services) service.forwarding = ForwardingMode::kIpip;
  if (row.second_backend == std::string("10.0.0.11")) {
    EXPECT_TRUE(ValidateIntent(intent).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(Services, NatBetweenServices, ::testing::ValuesIn(kNatPairs),
                         [](const auto& row) { return std::string(row.param.name); });

struct RangePair {
  const char* name;
  const char* first;
  const char* second;
  bool good;
};

const RangePair kRangePairs[] = {
    {"Apart", "203.0.113.10:80-89/tcp", "203.0.113.10:90-99/tcp", true},
    {"Within", "203.0.113.10:80-99/tcp", "203.0.113.10:85-89/tcp", true},
    {"SameBegin", "203.0.113.10:80-89/tcp", "203.0.113.10:80-99/tcp", true},
    {"SameEnd", "203.0.113.10:80-99/tcp", "203.0.113.10:90-99/tcp", true},
    {"PartialOverlap", "203.0.113.10:80-90/tcp", "203.0.113.10:90-99/tcp", false},
    {"PartialOverlapReversed", "203.0.113.10:90-99/tcp", "203.0.113.10:80-90/tcp", false},
    {"OtherAddress", "203.0.113.10:80-90/tcp", "203.0.113.11:90-99/tcp", true},
    {"OtherProtocol", "203.0.113.10:80-90/tcp", "203.0.113.10:90-99/udp", true},
    {"ExactWithin", "203.0.113.10:80-90/tcp", "203.0.113.10:85/tcp", true},
    {"AnyPort", "203.0.113.10:80-90/tcp", "203.0.113.10:0/tcp", true},
};

class PortRanges : public ::testing::TestWithParam<RangePair> {};

TEST_P(PortRanges, NestOrAreApart) {
  const RangePair& row = GetParam();
  IntentSpec between;
  between.services = {MakeService("web", row.first), MakeService("api", row.second)};
  IntentSpec within;
  within.services = {MakeService("web", row.first)};
  within.services[0].frontends.push_back(Frontend::Parse(row.second).value());
  for (ServiceSpec& service : between.services) service.health_check.port = 80;
  const Status two = ValidateIntent(between);
  const Status one = ValidateIntent(within);
  EXPECT_EQ(two.ok(), row.good) << two.message();
  EXPECT_EQ(one.ok(), row.good) << one.message();
  if (row.good) return;
  EXPECT_EQ(two.code(), ErrorCode::kAlreadyExists);
  EXPECT_THAT(two.message(),
              ::testing::HasSubstr("203.0.113.10:90-99/tcp overlaps 203.0.113.10:80-90/tcp"));
  EXPECT_EQ(one.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(one.message(),
              ::testing::HasSubstr("of service web partly: ranges must nest or be disjoint"));
}

INSTANTIATE_TEST_SUITE_P(Pairs, PortRanges, ::testing::ValuesIn(kRangePairs),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ValidateNewService, RefusesAnyPortWithNatAndSuggestsARange) {
  ServiceSpec service = MakeService("web", "203.0.113.10:0/tcp");
  service.health_check.port = 80;
  EXPECT_TRUE(ValidateNewService(service, "").ok());
  service.forwarding = ForwardingMode::kNat;
  EXPECT_TRUE(ValidateService(service).ok()) << "a stored service must stay valid";
  const Status status = ValidateNewService(service, "");
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.message(),
              StartsWith("frontends[0]: 203.0.113.10:0/tcp is for any port, which "
                         "nat does not support"));
  EXPECT_THAT(status.message(), ::testing::HasSubstr("a range such as 203.0.113.10:8000-8999/tcp"));
  service.frontends = {Frontend::Parse("203.0.113.10:1-65535/tcp").value()};
  EXPECT_TRUE(ValidateNewService(service, "").ok());
}

TEST(NormalizeEndpoint, RemovesAFrontendsPortUnlessTheModeIsNat) {
  ServiceSpec service = MakeService("web", "203.0.113.10:80/tcp");
  const Endpoint with_port = Endpoint::Parse("10.0.0.11:80").value();
  const Endpoint other_port = Endpoint::Parse("10.0.0.11:81").value();
  EXPECT_EQ(NormalizeEndpoint(service, with_port).ToString(), "10.0.0.11");
  EXPECT_EQ(NormalizeEndpoint(service, other_port), other_port);
  service.forwarding = ForwardingMode::kNat;
  EXPECT_EQ(NormalizeEndpoint(service, with_port), with_port);
}

TEST(FindBackend, PrefersTheExactEndpointToTheOneWithoutAPort) {
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

// Flow records of running dataplanes contain these ids. With other ids, an upgrade would lose those
// flows.
TEST(ProposeIds, AreTheSameInEveryRelease) {
  EXPECT_EQ(ProposeBackendId("web", Endpoint::Parse("10.0.0.11").value(), 0), 998006909U);
  EXPECT_EQ(ProposeServiceId("web", 0), 3439954032U);
}

}  // namespace
}  // namespace fairlead
