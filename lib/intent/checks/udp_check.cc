// `udp`: passes if the backend answers a datagram, with `reply` if that is set. The details of
// failed probes are in check_failure.h.
#include "lib/intent/checks/check_failure.h"
#include "lib/intent/checks/check_ports.h"
#include "lib/intent/checks/check_type.h"
#include "lib/intent/checks/http_settings.h"
#include "lib/intent/checks/udp_settings.h"

namespace fairlead {
namespace {

constexpr std::string_view kHexPrefix = "hex:";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view RefuseUdpPayload(std::string_view text) {
  if (text.empty() || ParseUdpPayload(text).ok()) return "";
  return "is not text of up to 512 bytes, or hex: and two hex digits for each of 1 to 512 bytes, "
         "such as hex:0a1b";
}

constexpr CheckField kUdpFields[] = {
    {.name = "send",
     .help = "UDP: bytes to send, as text or hex:0a1b, up to 512",
     .refusal = RefuseUdpPayload},
    {.name = "reply",
     .help = "UDP: the reply that passes, as text or hex:0a1b (default: any)",
     .refusal = RefuseUdpPayload}};

Status ValidateUdpCheck(const ServiceSpec& service, std::string_view path) {
  const HealthCheck& check = service.health_check;
  if (CheckSetting<std::string>(kUdpCheck, check.settings, "send").empty()) {
    return InvalidArgument(std::string(path) +
                           "health_check.send: missing: a UDP check needs the bytes to send, as "
                           "text or as hex:0a1b");
  }
  return ValidateCheckPort(service, path);
}

std::string UdpText(const FailedCheck& failed) {
  if (KindOfFailure(failed.detail) != CheckFailure::kWrongReply) {
    return FailureText(failed.detail, "");
  }
  return "a reply of " + std::to_string(ValueOfFailure(failed.detail)) +
         " bytes is not equal to reply";
}

}  // namespace

Result<std::string> ParseUdpPayload(std::string_view text) {
  if (!text.starts_with(kHexPrefix)) {
    if (text.size() > kMaxUdpCheckBytes) return InvalidArgument("longer than 512 bytes");
    return std::string(text);
  }
  text.remove_prefix(kHexPrefix.size());
  if (text.empty() || text.size() % 2 != 0 || text.size() / 2 > kMaxUdpCheckBytes) {
    return InvalidArgument("not two hex digits for each of 1 to 512 bytes");
  }
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = HexDigit(text[i]);
    const int low = HexDigit(text[i + 1]);
    if (high < 0 || low < 0) return InvalidArgument("not hex digits");
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return bytes;
}

constinit const CheckType kUdpCheck = {.name = "udp",
                                       .number = 4,
                                       .protocol = Protocol::kUdp,
                                       .fields = kUdpFields,
                                       .validate = ValidateUdpCheck,
                                       .validate_new = ValidateNewCheckPort,
                                       .ports = CheckPorts,
                                       .failure_text = UdpText,
                                       .is_refused = IsRefusedConnection};

}  // namespace fairlead
