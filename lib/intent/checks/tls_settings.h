// The settings of TLS, shared by the check types that use it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/intent/checks/check_type.h"

namespace fairlead {

enum class TlsVerify : uint8_t {
  kFull,   // the chain and the name
  kChain,  // the chain only
  kNone,
};

struct TlsSettings {
  TlsVerify verify = TlsVerify::kFull;
  std::string name;     // the server's: for SNI, and which the certificate must have
  std::string ca_file;  // empty: the system's certificates
};

inline constexpr std::string_view kTlsVerifyHelp =
    "full | chain | none: check the certificate's chain and name, its chain, or nothing "
    "(default full)";
inline constexpr std::string_view kTlsSniHelp = "name of the TLS server (default: the host)";
inline constexpr std::string_view kTlsCaFileHelp =
    "file of CA certificates (default: the system's)";

inline constexpr std::string_view kTlsVerifyWords[] = {"full", "chain", "none"};

// For CheckField::refusal.
std::string_view RefuseTlsSni(std::string_view text);
std::string_view RefuseTlsCaFile(std::string_view text);

// `host`: the name without tls.sni.
TlsSettings ReadTlsSettings(const CheckType& type, const CheckSettings& settings, std::string host);

}  // namespace fairlead
