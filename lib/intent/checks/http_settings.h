// The settings of the check types `http` and `https`, and their failures as text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "lib/intent/checks/check_type.h"

namespace fairlead {

struct StatusRange {
  uint16_t first = 0;
  uint16_t last = 0;
  friend bool operator==(const StatusRange&, const StatusRange&) = default;
};

struct HttpSettings {
  std::string path;
  std::vector<StatusRange> codes;  // the statuses with which the check passes
  std::string match;               // text that the body must hold; empty: none
  bool is_head = false;
  std::string host;  // the Host header
};

// "200,301-302".
Result<std::vector<StatusRange>> ParseStatusRanges(std::string_view text);
bool HasStatus(std::span<const StatusRange> ranges, uint32_t status);

// `type`: kHttpCheck or kHttpsCheck. REQUIRES valid settings. Without `host`, it is the address.
HttpSettings ReadHttpSettings(const CheckType& type, const CheckSettings& settings,
                              const IpAddress& address, uint16_t port);
// The host without its port and brackets: "www.example.com", "2001:db8::1".
std::string HostName(std::string_view host);

// CheckField::refusal of the fields.
std::string_view RefuseHttpPath(std::string_view text);
std::string_view RefuseHttpCodes(std::string_view text);
std::string_view RefuseHttpMatch(std::string_view text);
std::string_view RefuseHttpHost(std::string_view text);
// CheckType's members.
Status ValidateHttpCheck(const ServiceSpec& service, std::string_view path);
std::string HttpFailureText(const FailedCheck& failed, std::string_view host);
bool IsRefusedConnection(int32_t detail);

inline constexpr std::string_view kHttpMethods[] = {"GET", "HEAD"};
inline constexpr CheckField kHttpPathField = {.name = "path",
                                              .help = "HTTP: path to request (default /)",
                                              .default_text = "/",
                                              .refusal = RefuseHttpPath};
inline constexpr CheckField kHttpCodesField = {
    .name = "codes",
    .help = "HTTP: status codes that pass, such as 200,301-302 (default 200-399)",
    .default_text = "200-399",
    .refusal = RefuseHttpCodes};
inline constexpr CheckField kHttpMatchField = {
    .name = "match",
    .help = "HTTP: text that the first 64 KiB of the body must hold (default: none)",
    .refusal = RefuseHttpMatch};
inline constexpr CheckField kHttpMethodField = {.name = "method",
                                                .help = "HTTP: GET | HEAD (default GET)",
                                                .default_text = "GET",
                                                .words = kHttpMethods};
inline constexpr CheckField kHttpHostField = {
    .name = "host",
    .help = "HTTP: Host header (default: the backend's address)",
    .refusal = RefuseHttpHost};

}  // namespace fairlead
