// The intent in JSON (the HTTP API, the store) and YAML (services.yaml), with the same fields.
// Decoding is strict: unknown fields, wrong types and bad values are refused, with the field's path
// and value.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "lib/intent/model.h"

namespace fairlead {

// Parses JSON strictly and within bounds: UTF-8, no duplicate keys, depth at most 16, at most
// `max_bytes` (1 MiB for the API).
inline constexpr size_t kMaxJsonDepth = 16;
inline constexpr size_t kMaxYamlBytes = size_t{16} << 20;
Result<nlohmann::json> ParseJson(std::string_view text, size_t max_bytes = size_t{1} << 20);

// "2s", "350s", "100ms", "5m", "24h". A number without unit is refused, since it would be
// ambiguous.
Result<uint32_t> ParseDurationMs(std::string_view text);
std::string FormatDurationMs(uint32_t duration_ms);

// Messages of the decoders start with the field's path inside the decoded value:
// "services[0].backends[1].weight: 1001 is not within 0..1000".
Result<ServiceSpec> ServiceFromJson(const nlohmann::json& json);  // validated
nlohmann::json ServiceToJson(const ServiceSpec& service);
// "10.0.0.1", "10.0.0.1:80" or {address, port, weight, mac, vlan}. ValidateService then checks it
// against its service.
Result<BackendSpec> BackendFromJson(const nlohmann::json& json);
nlohmann::json BackendToJson(const BackendSpec& backend);
Result<DrainRequest> DrainFromJson(const nlohmann::json& json);  // {timeout}
Result<IntentSpec> IntentFromJson(const nlohmann::json& json);   // {hash_seed, services}; validated

// Converts services.yaml to the same JSON value. Uses yaml-cpp, whose exceptions it catches.
// Accepts one document of at most kMaxYamlBytes. Refuses aliases and duplicate keys. Plain scalars
// are as in YAML 1.2: true and false are booleans, yes and no are strings.
Result<nlohmann::json> YamlToJson(std::string_view text);

// The path that a message of the decoders or of ValidateService names, such as
// "backends[1].weight"; empty if it names none.
std::string FieldOfMessage(std::string_view message);

std::string_view ForwardingModeName(ForwardingMode mode);
std::string_view HashPolicyName(HashPolicy policy);
std::string_view TrackingName(Tracking tracking);

}  // namespace fairlead
