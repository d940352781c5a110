#include "lib/intent/checks/tls_settings.h"

#include <algorithm>
#include <utility>

namespace fairlead {
namespace {

constexpr size_t kMaxDnsName = 253;
constexpr size_t kMaxPath = 4095;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

}  // namespace

std::string_view RefuseTlsSni(std::string_view text) {
  const bool is_name = text.size() <= kMaxDnsName && std::ranges::all_of(text, IsNameCharacter);
  return is_name ? "" : "is not the name of a host, such as www.example.com";
}

std::string_view RefuseTlsCaFile(std::string_view text) {
  if (text.empty()) return "";
  if (text.size() > kMaxPath) return "is longer than 4095 bytes";
  return text.starts_with('/') ? ""
                               : "is not an absolute path, such as /etc/ssl/certs/internal-ca.pem";
}

TlsSettings ReadTlsSettings(const CheckType& type, const CheckSettings& settings,
                            std::string host) {
  TlsSettings tls;
  const auto& verify = CheckSetting<std::string>(type, settings, "tls.verify");
  tls.verify = verify == "full"    ? TlsVerify::kFull
               : verify == "chain" ? TlsVerify::kChain
                                   : TlsVerify::kNone;
  const auto& sni = CheckSetting<std::string>(type, settings, "tls.sni");
  tls.name = sni.empty() ? std::move(host) : sni;
  tls.ca_file = CheckSetting<std::string>(type, settings, "tls.ca_file");
  return tls;
}

}  // namespace fairlead
