// What went wrong in a failed probe of http, https, grpc or udp, as one number
// (CheckResult::detail): the kind in the top byte, a value of the kind in the others. The store
// keeps it, so the numbers never change their meaning.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fairlead {

enum class CheckFailure : uint8_t {
  kErrno = 0,          // an errno, such as ECONNREFUSED
  kClosedEarly = 1,    // the server closed the connection before its answer was complete
  kHttpStatus = 2,     // http: the status, which is not in `codes`; grpc: which is not 200
  kNoMatch = 3,        // the body does not hold `match`
  kHeaderTooLong = 4,  // more than 16 KiB
  kNotHttp = 5,        // the answer is not HTTP/1
  kTlsVerify = 6,      // bits 16-23: the depth of the certificate, bits 0-15: X509_V_ERR_...
  kTlsError = 7,       // the reason code of OpenSSL's SSL library; 0: not known
  kNotHttp2 = 8,       // the answer is not HTTP/2
  kNoAlpn = 9,         // the TLS server does not offer h2
  kHttp2Error = 10,    // the server ended the stream or connection: the error code (RFC 9113, 7)
  kNotGrpc = 11,       // the answer is not a gRPC message
  kGrpcStatus = 12,    // grpc-status is not 0
  kNotServing = 13,    // the serving status that is not SERVING
  kTooLong = 14,       // the answer is longer than a check reads
  kWrongReply = 15,    // udp: it is not equal to `reply`
};

int32_t EncodeFailure(CheckFailure kind, uint32_t value = 0);  // the value's low 24 bits
CheckFailure KindOfFailure(int32_t detail);
uint32_t ValueOfFailure(int32_t detail);

// The text of kinds that concern the connection, and those of several types. `host`: the name for
// which the certificate was checked.
std::string FailureText(int32_t detail, std::string_view host);

}  // namespace fairlead
