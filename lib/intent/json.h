// The intent's one notation, in JSON (the HTTP API, the store) and YAML (services.yaml): the same
// fields. Strict: unknown fields, wrong types and bad values are refused, with the field's path and
// the value.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "lib/intent/model.h"

namespace fairlead {

// Bounded, strict parse: UTF-8, no duplicate keys, depth at most 16, at most 1 MiB (API) or as
// `max_bytes` says.
Result<nlohmann::json> ParseJson(std::string_view text, size_t max_bytes = size_t{1} << 20);

// "2s", "350s", "100ms", "5m", "24h"; a bare integer is refused: units end ambiguity.
Result<uint32_t> ParseDurationMs(std::string_view text);
std::string FormatDurationMs(uint32_t duration_ms);

Result<ServiceSpec> ServiceFromJson(const nlohmann::json& json);  // validated
nlohmann::json ServiceToJson(const ServiceSpec& service);
Result<BackendSpec> BackendFromJson(
    const nlohmann::json& json);  // "10.0.0.1" or {address, port, weight, mac, vlan}
nlohmann::json BackendToJson(const BackendSpec& backend);
Result<IntentSpec> IntentFromJson(const nlohmann::json& json);  // {hash_seed, services}; validated

// services.yaml -> the same JSON value (yaml-cpp inside; its exceptions stay there).
Result<nlohmann::json> YamlToJson(std::string_view text);

std::string_view ForwardingModeName(ForwardingMode mode);
std::string_view HashPolicyName(HashPolicy policy);
std::string_view TrackingName(Tracking tracking);

}  // namespace fairlead
