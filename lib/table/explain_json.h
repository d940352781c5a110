// The JSON form of an Explanation, for /v1/explain and `fairctl explain --json`.
#pragma once

#include <cstdio>
#include <string>

#include <nlohmann/json.hpp>

#include "lib/table/explain.h"

namespace fairlead {

inline nlohmann::json ExplanationToJson(const Explanation& explanation) {
  const bool has_service = !explanation.service.empty();
  const bool has_slot = explanation.slot != kNoIndex;
  char hash[40];
  std::snprintf(hash, sizeof(hash), "0x%016llx%016llx",
                static_cast<unsigned long long>(explanation.hash.high),
                static_cast<unsigned long long>(explanation.hash.low));
  const auto text = [](const std::optional<Endpoint>& endpoint) {
    return endpoint ? nlohmann::json(endpoint->ToString()) : nlohmann::json(nullptr);
  };
  nlohmann::json json;
  json["verdict"] = explanation.verdict == Verdict::kForward ? "forward"
                    : explanation.verdict == Verdict::kDrop  ? "drop"
                                                             : "to_kernel";
  json["drop_reason"] = explanation.verdict == Verdict::kDrop
                            ? nlohmann::json(DropReasonName(explanation.drop_reason))
                            : nlohmann::json(nullptr);
  json["service"] = has_service ? nlohmann::json(explanation.service) : nlohmann::json(nullptr);
  json["forwarding"] = explanation.forwarding ? nlohmann::json(ModeOf(*explanation.forwarding).name)
                                              : nlohmann::json(nullptr);
  json["backend"] = text(explanation.backend);
  json["slot"] = has_slot ? nlohmann::json(explanation.slot) : nlohmann::json(nullptr);
  json["slot_state"] =
      has_slot ? nlohmann::json(SlotStateName(explanation.slot_state)) : nlohmann::json(nullptr);
  json["slot_count"] = has_slot ? nlohmann::json(explanation.slot_count) : nlohmann::json(nullptr);
  json["hash"] = has_slot ? nlohmann::json(hash) : nlohmann::json(nullptr);
  json["record"] = nullptr;
  if (explanation.record) {
    json["record"] = {{"backend", text(explanation.recorded_backend)},
                      {"age_ms", explanation.record->age_ms},
                      {"class", (explanation.record->flags & kRecordOld) != 0 ? "old" : "new"},
                      // The same, for clients of release 0.1.0.
                      {"pinned", (explanation.record->flags & kRecordOld) != 0},
                      {"confirmed", (explanation.record->flags & kRecordConfirmed) != 0},
                      {"closing", (explanation.record->flags & kRecordClosing) != 0}};
  }
  json["next_hop"] = nullptr;
  if (explanation.next_hop) {
    json["next_hop"] = {{"mac", explanation.next_hop->mac.ToString()},
                        {"vlan", explanation.next_hop->vlan},
                        {"interface", explanation.next_hop->interface}};
  }
  json["left_out"] = nlohmann::json::array();
  for (const auto& [backend, reason] : explanation.left_out) {
    json["left_out"].push_back({{"backend", backend.ToString()},
                                {"code", LeftOutName(reason)},
                                {"message", LeftOutText(reason)}});
  }
  json["why"] = explanation.why;
  return json;
}

}  // namespace fairlead
