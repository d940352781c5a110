#include "lib/intent/checks/http_settings.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "lib/intent/checks/check_failure.h"
#include "lib/intent/checks/check_ports.h"

namespace fairlead {
namespace {

constexpr size_t kMaxHttpPath = 1024;
constexpr size_t kMaxHttpMatch = 1024;
constexpr size_t kMaxHttpHost = 260;
constexpr size_t kMaxStatusRanges = 32;
constexpr uint16_t kFirstStatus = 100;
constexpr uint16_t kLastStatus = 599;

bool ParseStatus(std::string_view text, uint16_t* status) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *status);
  return error == std::errc() && stop == end && text.size() == 3 && *status >= kFirstStatus &&
         *status <= kLastStatus;
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._:[]").find(c) != std::string_view::npos;
}

}  // namespace

Result<std::vector<StatusRange>> ParseStatusRanges(std::string_view text) {
  std::vector<StatusRange> ranges;
  for (;;) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const size_t dash = part.find('-');
    StatusRange range;
    const bool is_valid =
        ParseStatus(part.substr(0, dash), &range.first) &&
        ParseStatus(dash == std::string_view::npos ? part : part.substr(dash + 1), &range.last) &&
        range.first <= range.last && ranges.size() < kMaxStatusRanges;
    if (!is_valid) return InvalidArgument("not a list of status codes");
    ranges.push_back(range);
    if (comma == std::string_view::npos) return ranges;
    text.remove_prefix(comma + 1);
  }
}

bool HasStatus(std::span<const StatusRange> ranges, uint32_t status) {
  return std::ranges::any_of(ranges, [status](const StatusRange& range) {
    return range.first <= status && status <= range.last;
  });
}

HttpSettings ReadHttpSettings(const CheckType& type, const CheckSettings& settings,
                              const IpAddress& address, uint16_t port) {
  const auto text = [&](std::string_view name) {
    return CheckSetting<std::string>(type, settings, name);
  };
  HttpSettings http{.path = text("path"),
                    .codes = ParseStatusRanges(text("codes")).value(),
                    .match = text("match"),
                    .is_head = text("method") == "HEAD",
                    .host = text("host")};
  if (!http.host.empty()) return http;
  const bool is_default_port = port == (&type == &kHttpsCheck ? 443 : 80);
  http.host = address.is_v4() ? address.ToString() : "[" + address.ToString() + "]";
  if (!is_default_port) http.host += ":" + std::to_string(port);
  return http;
}

std::string HostName(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(1, host.find(']') - 1));
  // More than one colon: an IPv6 address.
  const size_t colon = host.find(':');
  if (colon != std::string_view::npos && colon == host.rfind(':')) host = host.substr(0, colon);
  return std::string(host);
}

std::string_view RefuseHttpPath(std::string_view text) {
  if (!text.starts_with('/')) return "does not start with /";
  if (text.size() > kMaxHttpPath) return "is longer than 1024 bytes";
  const bool is_ascii = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
  if (!is_ascii || text.find('#') != std::string_view::npos) {
    return "has a character that a path cannot have; write it as % and two hex digits";
  }
  return "";
}

std::string_view RefuseHttpCodes(std::string_view text) {
  return ParseStatusRanges(text).ok()
             ? ""
             : "is not a list of up to 32 status codes from 100 to 599, such as 200-399 or "
               "200,301-302";
}

std::string_view RefuseHttpMatch(std::string_view text) {
  return text.size() <= kMaxHttpMatch ? "" : "is longer than 1024 bytes";
}

std::string_view RefuseHttpHost(std::string_view text) {
  const bool is_host = text.size() <= kMaxHttpHost && std::ranges::all_of(text, IsHostCharacter);
  return is_host ? "" : "is not a host, such as www.example.com or www.example.com:8080";
}

Status ValidateHttpCheck(const ServiceSpec& service, std::string_view path) {
  const HealthCheck& check = service.health_check;
  const auto& match = CheckSetting<std::string>(*check.type, check.settings, "match");
  const auto& method = CheckSetting<std::string>(*check.type, check.settings, "method");
  if (!match.empty() && method == "HEAD") {
    return InvalidArgument(std::string(path) + "health_check.match: " + match.substr(0, 80) +
                           " needs method: GET, since the answer to HEAD has no body");
  }
  return ValidateCheckPort(service, path);
}

std::string HttpFailureText(const FailedCheck& failed, std::string_view host) {
  const uint32_t value = ValueOfFailure(failed.detail);
  if (KindOfFailure(failed.detail) != CheckFailure::kHttpStatus) {
    return FailureText(failed.detail, host);
  }
  const bool redirects = value >= 300 && value <= 399 && value != 304;
  return FailureText(failed.detail, host) + " is not in codes" +
         (redirects ? "; redirects are not followed" : "");
}

bool IsRefusedConnection(int32_t detail) {
  return detail == EncodeFailure(CheckFailure::kErrno, ECONNREFUSED);
}

}  // namespace fairlead
