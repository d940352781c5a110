// The JSON form of an Explanation, for /v1/explain and `fairctl explain --json`.
#pragma once

#include <cstdio>
#include <string>

#include <nlohmann/json.hpp>

#include "lib/table/explain.h"

namespace fairlead {

inline nlohmann::json ExplanationToJson(const Explanation& explanation) {
  // Null: unknown, or there is none.
  nlohmann::json json = {{"drop_reason", nullptr}, {"service", nullptr}, {"forwarding", nullptr},
                         {"backend", nullptr},     {"slot", nullptr},    {"slot_state", nullptr},
                         {"slot_count", nullptr},  {"hash", nullptr},    {"record", nullptr},
                         {"next_hop", nullptr}};
  json["verdict"] = explanation.verdict == Verdict::kForward ? "forward"
                    : explanation.verdict == Verdict::kDrop  ? "drop"
                                                             : "to_kernel";
  if (explanation.verdict == Verdict::kDrop) {
    json["drop_reason"] = DropReasonName(explanation.drop_reason);
  }
  if (!explanation.service.empty()) json["service"] = explanation.service;
  if (explanation.forwarding) json["forwarding"] = ModeOf(*explanation.forwarding).name;
  if (explanation.backend) json["backend"] = explanation.backend->ToString();
  if (explanation.slot != kNoIndex) {
    char hash[40];
    std::snprintf(hash, sizeof(hash), "0x%016llx%016llx",
                  static_cast<unsigned long long>(explanation.hash.high),
                  static_cast<unsigned long long>(explanation.hash.low));
    json["slot"] = explanation.slot;
    json["slot_state"] = SlotStateName(explanation.slot_state);
    json["slot_count"] = explanation.slot_count;
    json["hash"] = hash;
  }
  if (explanation.record) {
    json["record"] = {{"backend", nullptr},
                      {"age_ms", explanation.record->age_ms},
                      {"class", (explanation.record->flags & kRecordOld) != 0 ? "old" : "new"},
                      // The same, for clients of release 0.1.0.
                      {"pinned", (explanation.record->flags & kRecordOld) != 0},
                      {"confirmed", (explanation.record->flags & kRecordConfirmed) != 0},
                      {"closing", (explanation.record->flags & kRecordClosing) != 0}};
    if (explanation.recorded_backend) {
      json["record"]["backend"] = explanation.recorded_backend->ToString();
    }
  }
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
