#include "tests/fuzz/pipeline_config.h"

#include <nlohmann/json.hpp>

#include "lib/intent/derive.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

constexpr const char* kPolicies[] = {"5-tuple", "3-tuple", "source-ip"};

std::string BackendAddress(int number, bool v6) {
  return (v6 ? "2001:db8:b::" : "10.0.0.") + std::to_string(number);
}

// Frontend 203.0.113.N and 2001:db8::N, and backends N + 1 and N + 2 of that family.
Json Service(const FuzzMode& mode, int number, bool v4, bool v6, bool backends_v6) {
  Json service = Json::parse("{" + std::string(mode.forwarding) + "}");
  service["name"] = "s" + std::to_string(number) + (v4 ? "" : "6");
  service["hash"] = kPolicies[number / 10 % 3];
  service["health_check"] = {{"type", "none"}};
  service["outlier"] = number % 20 == 0 ? "observe" : "off";
  for (const char* protocol : {"tcp", "udp"}) {
    const std::string port = std::string(":0/") + protocol;
    if (v4) service["frontends"].push_back("203.0.113." + std::to_string(number) + port);
    if (v6) service["frontends"].push_back("[2001:db8::" + std::to_string(number) + "]" + port);
  }
  for (const int offset : {1, 2}) {
    Json backend = {{"address", BackendAddress(number + offset, backends_v6)},
                    {"mac", "02:00:00:00:0b:" + std::to_string(number + offset)}};
    if (number == 50) backend["vlan"] = 77;
    service["backends"].push_back(std::move(backend));
  }
  return service;
}

}  // namespace

Result<PacketVariant> MakeFuzzVariant(const FuzzMode& mode) {
  Json intent_json = {{"hash_seed", 1}, {"services", Json::array()}};
  const bool nat = std::string_view(mode.name) == "nat";
  for (int number = 10; number <= 80; number += 10) {
    if (nat) {
      intent_json["services"].push_back(Service(mode, number, true, false, false));
      intent_json["services"].push_back(Service(mode, number, false, true, true));
    } else {
      intent_json["services"].push_back(Service(mode, number, true, true, mode.backends_v6));
    }
  }
  PacketVariant variant;
  ASSIGN_OR_RETURN(const IntentSpec intent, IntentFromJson(intent_json));
  ASSIGN_OR_RETURN(variant.image,
                   BuildSnapshot(DeriveSnapshot(intent, 1, OfflineObservations(intent))));
  ASSIGN_OR_RETURN(const MacAddress mac, MacAddress::Parse("02:00:00:00:00:01"));
  ASSIGN_OR_RETURN(const IpAddress own4, IpAddress::Parse("10.0.0.1"));
  ASSIGN_OR_RETURN(const IpAddress own6, IpAddress::Parse("2001:db8:b::1"));
  ASSIGN_OR_RETURN(variant.port.gateway, MacAddress::Parse("02:00:00:00:00:fe"));
  variant.macs = {mac};
  variant.port.interface = "wan";
  variant.port.mac = mac;
  variant.port.addresses = {own4, own6};
  if (mode.spread) {
    ASSIGN_OR_RETURN(const Prefix prefix, Prefix::Parse("10.64.0.0/16"));
    variant.port.ipip_sources = {prefix};
  }
  return variant;
}

}  // namespace fairlead
