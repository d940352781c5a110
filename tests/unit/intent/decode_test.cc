// The decoders of json.h: what they read, what they refuse, and their messages.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;
using ::testing::StartsWith;

Json Parse(const std::string& text) { return ParseJson(text).value(); }

constexpr const char* kFullService = R"({
  "name": "web",
  "frontends": ["203.0.113.10:80/tcp", "[2001:db8::10]:443/udp"],
  "forwarding": "dsr",
  "hash": "source-ip",
  "tracking": "none",
  "idle_timeout": "10s",
  "drain_timeout": "5m",
  "on_deadline": "keep",
  "on_unhealthy": "keep",
  "keep_unhealthy": "30s",
  "fail_open": false,
  "min_healthy": "30%",
  "slow_start": "60s",
  "health_check": {"type": "tcp", "interval": "3s", "timeout": "500ms", "rise": 4, "fall": 5,
                   "port": 8081},
  "backends": [
    "10.0.0.11",
    {"address": "10.0.0.12", "weight": 0, "mac": "02:00:00:00:00:0C", "vlan": 4094},
    {"address": "2001:db8:1::3", "port": 443}
  ]})";

TEST(ServiceFromJson, ReadsEveryField) {
  const Result<ServiceSpec> service = ServiceFromJson(Parse(kFullService));
  ASSERT_TRUE(service.ok()) << service.status().message();
  EXPECT_EQ(service->name, "web");
  ASSERT_EQ(service->frontends.size(), 2U);
  EXPECT_EQ(service->frontends[1].ToString(), "[2001:db8::10]:443/udp");
  EXPECT_EQ(service->forwarding, ForwardingMode::kDsr);
  EXPECT_EQ(service->hash, HashPolicy::kSourceIp);
  EXPECT_EQ(service->tracking, Tracking::kNone);
  EXPECT_EQ(service->idle_timeout_ms, 10'000U);
  EXPECT_EQ(service->drain_timeout_ms, 300'000U);
  EXPECT_EQ(service->on_deadline, FlowPolicy::kKeep);
  EXPECT_EQ(service->on_unhealthy, FlowPolicy::kKeep);
  EXPECT_EQ(service->keep_unhealthy_ms, 30'000U);
  EXPECT_FALSE(service->fail_open);
  EXPECT_EQ(service->min_healthy, (MinHealthy{.percent = 30}));
  EXPECT_EQ(service->slow_start_ms, 60'000U);
  EXPECT_EQ(service->health_check, (HealthCheck{&kTcpCheck, 3000, 500, 4, 5, 8081}));
  ASSERT_EQ(service->backends.size(), 3U);
  const BackendSpec& second = service->backends[1];
  EXPECT_EQ(second.endpoint.ToString(), "10.0.0.12");
  EXPECT_EQ(second.weight, 0);
  EXPECT_EQ(second.mac->ToString(), "02:00:00:00:00:0c");
  EXPECT_EQ(second.vlan, 4094);
}

TEST(ServiceFromJson, FillsInTheDefaults) {
  const ServiceSpec service =
      ServiceFromJson(Parse(R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"]})")).value();
  EXPECT_EQ(service.forwarding, ForwardingMode::kDsr);
  EXPECT_EQ(service.hash, HashPolicy::kFiveTuple);
  EXPECT_EQ(service.tracking, std::nullopt);
  EXPECT_EQ(service.idle_timeout_ms, std::nullopt);
  EXPECT_EQ(service.drain_timeout_ms, 300'000U);
  EXPECT_EQ(service.on_deadline, FlowPolicy::kRelease);
  EXPECT_EQ(service.on_unhealthy, FlowPolicy::kRelease);
  EXPECT_TRUE(service.fail_open);
  EXPECT_EQ(service.health_check, HealthCheck{});
  EXPECT_TRUE(service.backends.empty());
}

TEST(ServiceFromJson, OmitsABackendsPortThatIsTheFrontends) {
  const ServiceSpec service = ServiceFromJson(Parse(kFullService)).value();
  EXPECT_EQ(service.backends[2].endpoint.ToString(), "2001:db8:1::3");
}

TEST(ServiceToJson, CanBeReadBack) {
  const ServiceSpec service = ServiceFromJson(Parse(kFullService)).value();
  const Result<ServiceSpec> again = ServiceFromJson(ServiceToJson(service));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_TRUE(*again == service);
}

TEST(ServiceToJson, CanBeReadBackInEveryMode) {
  for (const char* fields : {R"({"forwarding": "ipip", "too_big": "drop"})",
                             R"({"forwarding": "gue", "gue_port": 7000, "gue_checksum": true})",
                             R"({"forwarding": "gue"})",
                             R"({"forwarding": "nat", "mss_clamp": true, "too_big": "cut"})"}) {
    Json json = Parse(R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
                          "backends": ["10.0.0.11"]})");
    const Json wanted = Parse(fields);
    json.update(wanted);
    const Result<ServiceSpec> service = ServiceFromJson(json);
    ASSERT_TRUE(service.ok()) << service.status().message();
    const Json written = ServiceToJson(*service);
    EXPECT_TRUE(ServiceFromJson(written).value() == *service) << fields;
    for (const auto& [name, value] : wanted.items()) EXPECT_EQ(written.at(name), value) << name;
  }
}

TEST(ServiceFromJson, FillsInThePortOfGue) {
  const ServiceSpec service =
      ServiceFromJson(Parse(R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
                                "forwarding": "gue"})"))
          .value();
  EXPECT_EQ(service.gue_port, 6080);
}

TEST(ServiceToJson, OmitsFieldsThatWereNotSet) {
  const ServiceSpec service =
      ServiceFromJson(Parse(R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"]})")).value();
  const Json json = ServiceToJson(service);
  EXPECT_FALSE(json.contains("tracking"));
  EXPECT_FALSE(json.contains("idle_timeout"));
  EXPECT_TRUE(ServiceFromJson(json).value() == service);
}

TEST(BackendFromJson, ReadsTextAndObjects) {
  EXPECT_EQ(BackendFromJson("10.0.0.11").value().endpoint.ToString(), "10.0.0.11");
  EXPECT_EQ(BackendFromJson("[2001:db8::1]:80").value().endpoint.port, 80);
  EXPECT_EQ(BackendFromJson(Parse(R"({"address": "10.0.0.11", "weight": 7})")).value().weight, 7);
}

struct BadValue {
  const char* name;
  const char* json;
  const char* message;  // the beginning of the error
};

class BackendFromJsonRefuses : public ::testing::TestWithParam<BadValue> {};

TEST_P(BackendFromJsonRefuses, AndNamesTheField) {
  const Result<BackendSpec> backend = BackendFromJson(Parse(GetParam().json));
  ASSERT_FALSE(backend.ok());
  EXPECT_THAT(backend.status().message(), StartsWith(GetParam().message));
}

const BadValue kBadBackends[] = {
    {"Number", "7", "value: 7 is not a backend such as 10.0.0.11"},
    {"Null", "null", "value: null is not a backend"},
    {"List", "[]", "value: [] is not a backend"},
    {"Name", R"("web1")", R"(value: "web1" is not a backend)"},
    {"PortTooLarge", R"("10.0.0.1:65536")", R"(value: "10.0.0.1:65536" is not a backend)"},
    {"EmptyObject", "{}", "address: missing"},
    {"AddressWithPort", R"({"address": "10.0.0.1:80"})",
     R"(address: "10.0.0.1:80" is not an IP address)"},
    {"AddressNumber", R"({"address": 10})", "address: 10 is not an IP address"},
    {"UnknownField", R"({"address": "10.0.0.1", "wieght": 3})",
     "wieght: 3 belongs to an unknown field; a backend has address port weight mac vlan"},
    {"PortZero", R"({"address": "10.0.0.1", "port": 0})", "port: 0 is not within 1..65535"},
    {"PortText", R"({"address": "10.0.0.1", "port": "80"})", R"(port: "80" is not an integer)"},
    {"WeightNegative", R"({"address": "10.0.0.1", "weight": -1})",
     "weight: -1 is not within 0..1000"},
    {"WeightFraction", R"({"address": "10.0.0.1", "weight": 1.0})",
     "weight: 1.0 is not an integer"},
    {"WeightHuge", R"({"address": "10.0.0.1", "weight": 18446744073709551615})",
     "weight: 18446744073709551615 is not within 0..1000"},
    {"WeightHuger", R"({"address": "10.0.0.1", "weight": 18446744073709551616})",
     "weight: 1.8446744073709552e+19 is not an integer"},
    {"WeightBool", R"({"address": "10.0.0.1", "weight": true})", "weight: true is not an integer"},
    {"MacShort", R"({"address": "10.0.0.1", "mac": "02:00:00:00:00"})",
     R"(mac: "02:00:00:00:00" is not a MAC address)"},
    {"MacNumber", R"({"address": "10.0.0.1", "mac": 2})", "mac: 2 is not a MAC address"},
    {"VlanTooLarge", R"({"address": "10.0.0.1", "vlan": 4095})",
     "vlan: 4095 is not within 1..4094"},
};
INSTANTIATE_TEST_SUITE_P(Values, BackendFromJsonRefuses, ::testing::ValuesIn(kBadBackends),
                         [](const auto& row) { return std::string(row.param.name); });

// kFullService with one field changed or added.
class ServiceFromJsonRefuses : public ::testing::TestWithParam<BadValue> {};

TEST_P(ServiceFromJsonRefuses, AndNamesTheField) {
  Json json = Parse(kFullService);
  json.update(Parse(GetParam().json));
  const Result<ServiceSpec> service = ServiceFromJson(json);
  ASSERT_FALSE(service.ok());
  EXPECT_THAT(service.status().message(), StartsWith(GetParam().message));
}

const BadValue kBadServices[] = {
    {"UnknownField", R"({"colour": "red"})",
     R"(colour: "red" belongs to an unknown field; a service has name frontends)"},
    {"SecondChanceText", R"({"second_chance": "yes"})",
     R"(second_chance: "yes" is neither true nor false)"},
    {"GuePortZero", R"({"forwarding": "gue", "gue_port": 0})",
     "gue_port: 0 is not within 1..65535"},
    {"MssClampText", R"({"mss_clamp": "yes"})", R"(mss_clamp: "yes" is neither true nor false)"},
    {"TooBigWord", R"({"too_big": "fragment"})", R"(too_big: "fragment" is not one of cut | drop)"},
    {"UnprintableField", R"({"a\n": 1})", "(name): 1 belongs to an unknown field"},
    {"NameNumber", R"({"name": 7})", "name: 7 is not text"},
    {"NameUpperCase", R"({"name": "Web"})", "name: Web is not 1 to 63 of a-z"},
    {"NameEmpty", R"({"name": ""})", "name: (empty) is not 1 to 63"},
    {"NameWithNewline", R"({"name": "a\nb"})", R"(name: "a\nb" is not printable)"},
    {"FrontendsText", R"({"frontends": "203.0.113.10:80/tcp"})",
     R"(frontends: "203.0.113.10:80/tcp" is not a list)"},
    {"FrontendsEmpty", R"({"frontends": []})", "frontends: at least one is needed"},
    {"FrontendWithoutProtocol", R"({"frontends": ["203.0.113.10:80"]})",
     R"(frontends[0]: "203.0.113.10:80" is not a frontend such as)"},
    {"FrontendNull", R"({"frontends": [null]})", "frontends[0]: null is not a frontend"},
    {"ForwardingWord", R"({"forwarding": "DSR"})",
     R"(forwarding: "DSR" is not one of dsr | ipip | gue | nat)"},
    {"HashWord", R"({"hash": 5})", "hash: 5 is not one of 5-tuple | 3-tuple | source-ip"},
    {"TrackingWord", R"({"tracking": "some"})",
     R"(tracking: "some" is not one of adaptive | all | none)"},
    {"IdleTimeoutNumber", R"({"idle_timeout": 350})",
     "idle_timeout: 350 is not a duration: write a number and ms, s, m or h"},
    {"IdleTimeoutShort", R"({"idle_timeout": "999ms"})",
     "idle_timeout: 999ms is not within 1s..24h"},
    {"DrainTimeoutLong", R"({"drain_timeout": "3601s"})",
     "drain_timeout: 3601s is not within 0s..1h"},
    {"OnDeadlineOther", R"({"on_deadline": "drop"})", R"(on_deadline: "drop" is )"},
    {"OnUnhealthyNumber", R"({"on_unhealthy": 5})", "on_unhealthy: 5 is "},
    {"KeepUnhealthyShort", R"({"keep_unhealthy": "0s"})",
     "keep_unhealthy: 0s is not within 1s..100h"},
    {"FailOpenText", R"({"fail_open": "yes"})", R"(fail_open: "yes" is neither true nor false)"},
    {"HealthCheckText", R"({"health_check": "tcp"})", R"(health_check: "tcp" is not an object)"},
    {"HealthCheckUnknownField", R"({"health_check": {"path": "/"}})",
     R"(health_check.path: "/" belongs to an unknown field; health_check has type)"},
    {"HealthCheckType", R"({"health_check": {"type": "ping"}})",
     R"(health_check.type: "ping" is not one of tcp | http | https | grpc | udp | none)"},
    {"HealthCheckInterval", R"({"health_check": {"interval": "99ms", "timeout": "1ms"}})",
     "health_check.interval: 99ms is not within 100ms..1h"},
    {"HealthCheckTimeout", R"({"health_check": {"interval": "1s", "timeout": "1s"}})",
     "health_check.timeout: 1s is not above 0s and below the interval, 1s"},
    {"HealthCheckRise", R"({"health_check": {"rise": 11}})",
     "health_check.rise: 11 is not within 1..10"},
    {"HealthCheckFall", R"({"health_check": {"fall": 0}})",
     "health_check.fall: 0 is not within 1..10"},
    {"HealthCheckPort", R"({"health_check": {"port": 65536}})",
     "health_check.port: 65536 is not within 1..65535"},
    {"BackendsObject", R"({"backends": {}})", "backends: {} is not a list"},
    {"BackendInTheList", R"({"backends": ["10.0.0.1", {"address": "10.0.0.2", "weight": 1001}]})",
     "backends[1].weight: 1001 is not within 0..1000"},
    {"BackendPortWithoutNat", R"({"backends": ["10.0.0.1:8080"]})",
     "backends[0].port: 8080 is not a frontend's port: another port needs nat"},
    {"BackendTwiceOnceWithItsPort", R"({"backends": ["10.0.0.1", "10.0.0.1:80"]})",
     "backends[1]: 10.0.0.1 appears twice"},
    {"LongValueIsCut",
     R"({"hash": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"})",
     R"(hash: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is)"},
};
INSTANTIATE_TEST_SUITE_P(Values, ServiceFromJsonRefuses, ::testing::ValuesIn(kBadServices),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ServiceFromJson, RejectsAValueThatIsNotAnObject) {
  for (const char* text : {"null", "[]", "\"web\"", "1"}) {
    EXPECT_THAT(ServiceFromJson(Parse(text)).status().message(),
                StartsWith("value: " + std::string(text) + " is not an object"));
  }
  EXPECT_EQ(ServiceFromJson(Parse("{}")).status().message(), "name: missing");
  EXPECT_EQ(ServiceFromJson(Parse(R"({"name": "web"})")).status().message(), "frontends: missing");
}

TEST(IntentFromJson, NamesTheFieldByItsFullPath) {
  Json service = Parse(kFullService);
  service["backends"] = Parse(R"(["10.0.0.1", {"address": "10.0.0.2", "weight": 1001}])");
  const Json intent = {{"services", {Parse(kFullService), service}}};
  EXPECT_EQ(IntentFromJson(intent).status().message(),
            "services[1].backends[1].weight: 1001 is not within 0..1000");
}

TEST(IntentFromJson, ReadsSeedAndServices) {
  const Json json = {{"hash_seed", 18446744073709551615ULL}, {"services", {Parse(kFullService)}}};
  const Result<IntentSpec> intent = IntentFromJson(json);
  ASSERT_TRUE(intent.ok()) << intent.status().message();
  EXPECT_EQ(intent->hash_seed, 18446744073709551615ULL);
  ASSERT_EQ(intent->services.size(), 1U);
  EXPECT_EQ(intent->services[0].backends[2].endpoint.port, 0);
}

TEST(IntentFromJson, RefusesADocumentWithoutServices) {
  EXPECT_EQ(IntentFromJson(Json::object()).status().message(), "services: missing");
  EXPECT_EQ(IntentFromJson(Parse(R"({"services": null})")).status().message(),
            "services: null is not a list");
  EXPECT_EQ(IntentFromJson(Parse(R"({"services": [], "hash_seed": -1})")).status().message(),
            "hash_seed: -1 is not within 0..18446744073709551615");
  EXPECT_THAT(IntentFromJson(Parse(R"({"services": [], "seed": 1})")).status().message(),
              StartsWith("seed: 1 belongs to an unknown field; an intent has hash_seed services"));
}

}  // namespace
}  // namespace fairlead
