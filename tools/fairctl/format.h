// Formats fairleadd's JSON for people. Nothing here fails: a value that is missing or has another
// type than expected is shown as it is, or as "-".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "tools/fairctl/table.h"

namespace fairlead::fairctl {

// The member, or null.
const nlohmann::json& Member(const nlohmann::json& object, std::string_view name);
// The list; an empty one if `value` is no list.
const nlohmann::json& List(const nlohmann::json& value);
// The text; empty if `value` is no string.
std::string TextOf(const nlohmann::json& value);
uint64_t NumberOf(const nlohmann::json& value);  // 0 if it is no number
bool IsTrue(const nlohmann::json& value);

// For a table's cell: text as it is, numbers in digits, yes or no, "-" for null.
std::string Shown(const nlohmann::json& value);

std::string FormatBytes(uint64_t bytes);       // "999 B", "1.5 KiB"
std::string FormatDuration(uint64_t seconds);  // "45s", "3m12s", "2h05m", "3d04h"
std::string FormatRate(double per_second);     // "950", "12.3k", "1.20M"
// Milliseconds since 1970 of "2025-01-09T12:00:00.250Z" (fraction optional); nullopt if it is no
// time.
std::optional<int64_t> ParseRfc3339Ms(const std::string& text);
std::string FormatAge(const std::string& rfc3339,
                      int64_t now_ms);  // "3m12s"; the text itself if it is no time
std::string JoinList(const nlohmann::json& list, std::string_view separator);

// "10.0.0.11", "[2001:db8::11]:80" of a backend object.
std::string EndpointText(const nlohmann::json& backend);

// "gue, port 6080" of a service object.
std::string ForwardingText(const nlohmann::json& service);

Colour ColourOfState(std::string_view state);

// "all settled", or "65000 settled, 500 shifting, 37 pinned"
std::string SlotsText(const nlohmann::json& slots);

}  // namespace fairlead::fairctl
