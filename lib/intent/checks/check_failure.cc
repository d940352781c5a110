#include "lib/intent/checks/check_failure.h"

#include <cstring>
#include <openssl/err.h>
#include <openssl/x509.h>

namespace fairlead {
namespace {

constexpr uint32_t kValueBits = 24;
constexpr uint32_t kValueMask = (1U << kValueBits) - 1;

std::string TlsVerifyText(uint32_t value, std::string_view host) {
  return "the certificate of " + std::string(host) + " is refused at depth " +
         std::to_string(value >> 16) + ": " +
         X509_verify_cert_error_string(static_cast<long>(value & 0xffff));
}

std::string TlsErrorText(uint32_t reason, std::string_view host) {
  const std::string prefix = "the TLS handshake with " + std::string(host) + " failed";
  if (reason == 0) return prefix;
  // Null unless libssl has loaded its texts. fairleadd makes it do so at its start.
  const char* text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
  return prefix + ": " + (text == nullptr ? "OpenSSL reason " + std::to_string(reason) : text);
}

}  // namespace

int32_t EncodeFailure(CheckFailure kind, uint32_t value) {
  return static_cast<int32_t>(static_cast<uint32_t>(kind) << kValueBits | (value & kValueMask));
}

CheckFailure KindOfFailure(int32_t detail) {
  return static_cast<CheckFailure>(static_cast<uint32_t>(detail) >> kValueBits);
}

uint32_t ValueOfFailure(int32_t detail) { return static_cast<uint32_t>(detail) & kValueMask; }

std::string FailureText(int32_t detail, std::string_view host) {
  const uint32_t value = ValueOfFailure(detail);
  switch (KindOfFailure(detail)) {
    case CheckFailure::kErrno:
      return std::strerror(static_cast<int>(value));
    case CheckFailure::kClosedEarly:
      return "the server closed the connection before its answer was complete";
    case CheckFailure::kHttpStatus:
      return "HTTP status " + std::to_string(value);
    case CheckFailure::kNoMatch:
      return "the body does not hold the text of match";
    case CheckFailure::kHeaderTooLong:
      return "the header of the answer is longer than 16 KiB";
    case CheckFailure::kNotHttp:
      return "the answer is not HTTP/1";
    case CheckFailure::kTlsVerify:
      return TlsVerifyText(value, host);
    case CheckFailure::kTlsError:
      return TlsErrorText(value, host);
    case CheckFailure::kNotHttp2:
      return "the answer is not HTTP/2";
    case CheckFailure::kNoAlpn:
      return "the TLS server " + std::string(host) + " does not offer h2 (ALPN)";
    case CheckFailure::kNotGrpc:
      return "the answer is not gRPC";
    case CheckFailure::kTooLong:
      return "the answer is longer than a check reads";
    case CheckFailure::kHttp2Error:
    case CheckFailure::kGrpcStatus:
    case CheckFailure::kNotServing:
    case CheckFailure::kWrongReply:
      break;
  }
  return "code " + std::to_string(detail);
}

}  // namespace fairlead
