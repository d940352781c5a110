#include "tools/fairctl/format.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace fairlead::fairctl {

using Json = nlohmann::json;

namespace {

template <typename... Args>
std::string Print(const char* format, Args... args) {
  char text[64];
  std::snprintf(text, sizeof(text), format, args...);
  return text;
}

}  // namespace

const Json& Member(const Json& object, std::string_view name) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}

const Json& List(const Json& value) {
  static const Json kEmpty = Json::array();
  return value.is_array() ? value : kEmpty;
}

std::string TextOf(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

uint64_t NumberOf(const Json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (value.is_number_integer()) {
    return static_cast<uint64_t>(std::max<int64_t>(0, value.get<int64_t>()));
  }
  if (value.is_number_float()) return static_cast<uint64_t>(std::max(0.0, value.get<double>()));
  return 0;
}

bool IsTrue(const Json& value) { return value.is_boolean() && value.get<bool>(); }

std::string Shown(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  const char* units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return Print("%.1f %s", value, units[unit]);
}

std::string FormatDuration(uint64_t seconds) {
  const auto pair = [](uint64_t large, char large_unit, uint64_t small, char small_unit) {
    return Print("%llu%c%02llu%c", static_cast<unsigned long long>(large), large_unit,
                 static_cast<unsigned long long>(small), small_unit);
  };
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return pair(seconds / 60, 'm', seconds % 60, 's');
  if (seconds < 86400) return pair(seconds / 3600, 'h', seconds % 3600 / 60, 'm');
  return pair(seconds / 86400, 'd', seconds % 86400 / 3600, 'h');
}

std::string FormatRate(double per_second) {
  if (per_second < 1000) return Print("%.0f", per_second);
  if (per_second < 1e6) return Print("%.1fk", per_second / 1e3);
  return Print("%.2fM", per_second / 1e6);
}

std::optional<int64_t> ParseRfc3339Ms(const std::string& text) {
  std::tm time{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (rest == nullptr) return std::nullopt;
  int64_t ms = 0;
  if (*rest == '.') {
    int64_t scale = 100;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, scale /= 10) ms += scale * (*rest - '0');
  }
  if (*rest != 'Z') return std::nullopt;
  return int64_t{timegm(&time)} * 1000 + ms;
}

std::string FormatAge(const std::string& rfc3339, int64_t now_ms) {
  const std::optional<int64_t> then_ms = ParseRfc3339Ms(rfc3339);
  if (!then_ms) return rfc3339.empty() ? "-" : rfc3339;
  return FormatDuration(static_cast<uint64_t>(std::max<int64_t>(0, now_ms - *then_ms) / 1000));
}

std::string JoinList(const Json& list, std::string_view separator) {
  std::string text;
  for (const Json& value : List(list)) {
    if (!text.empty()) text += separator;
    text += Shown(value);
  }
  return text.empty() ? "-" : text;
}

std::string ForwardingText(const Json& service) {
  std::string text = Shown(Member(service, "forwarding"));
  if (Member(service, "gue_port").is_number())
    text += ", port " + Shown(Member(service, "gue_port"));
  if (IsTrue(Member(service, "gue_checksum"))) text += ", with checksum";
  if (IsTrue(Member(service, "second_chance"))) text += ", second chance";
  if (IsTrue(Member(service, "mss_clamp"))) text += ", MSS clamped";
  if (TextOf(Member(service, "too_big")) == "drop") text += ", too big is dropped";
  return text;
}

std::string EndpointText(const Json& backend) {
  const std::string address = Shown(Member(backend, "address"));
  const Json& port = Member(backend, "port");
  if (!port.is_number() || NumberOf(port) == 0) return address;
  const bool is_v6 = address.find(':') != std::string::npos;
  return (is_v6 ? "[" + address + "]" : address) + ":" + Shown(port);
}

Colour ColourOfState(std::string_view state) {
  if (state == "healthy" || state == "unchecked" || state == "forward") return Colour::kGreen;
  if (state == "unhealthy" || state == "drop") return Colour::kRed;
  if (state == "draining" || state == "initial" || state == "ejected") return Colour::kYellow;
  if (state == "drained" || state == "to_kernel") return Colour::kBlue;
  return Colour::kNone;
}

std::string SlotsText(const nlohmann::json& slots) {
  if (!slots.is_object()) return "-";
  const uint64_t shifting = NumberOf(Member(slots, "shifting"));
  const uint64_t pinned = NumberOf(Member(slots, "pinned"));
  if (shifting == 0 && pinned == 0) return "all settled";
  return Shown(Member(slots, "settled")) + " settled, " + std::to_string(shifting) + " shifting, " +
         std::to_string(pinned) + " pinned";
}

}  // namespace fairlead::fairctl
