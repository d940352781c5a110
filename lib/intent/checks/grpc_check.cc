// `grpc`: passes if the server's health service (grpc.health.v1) answers SERVING. The details of
// failed probes are in check_failure.h.
#include "lib/intent/checks/check_failure.h"
#include "lib/intent/checks/check_ports.h"
#include "lib/intent/checks/check_type.h"
#include "lib/intent/checks/grpc_settings.h"
#include "lib/intent/checks/http_settings.h"
#include "lib/intent/checks/tls_settings.h"

namespace fairlead {
namespace {

constexpr uint32_t kNotFoundStatus = 5;        // of gRPC
constexpr uint32_t kUnimplementedStatus = 12;  // of gRPC
constexpr uint32_t kNotServingState = 2;       // of HealthCheckResponse
constexpr size_t kMaxGrpcService = 256;

std::string_view RefuseGrpcService(std::string_view text) {
  return text.size() <= kMaxGrpcService ? "" : "is longer than 256 bytes";
}

constexpr CheckField kGrpcFields[] = {
    {.name = "service",
     .help = "gRPC: service to ask for (default: the whole server)",
     .refusal = RefuseGrpcService},
    {.name = "tls.enabled",
     .help = "gRPC: true | false: use TLS (default false)",
     .kind = CheckField::Kind::kFlag},
    {.name = "tls.verify",
     .help = kTlsVerifyHelp,
     .default_text = "full",
     .words = kTlsVerifyWords},
    {.name = "tls.sni", .help = kTlsSniHelp, .refusal = RefuseTlsSni},
    {.name = "tls.ca_file",
     .help = kTlsCaFileHelp,
     .refusal = RefuseTlsCaFile,
     .is_ca_file = true}};

Status ValidateGrpcCheck(const ServiceSpec& service, std::string_view path) {
  const HealthCheck& check = service.health_check;
  if (CheckSetting<bool>(kGrpcCheck, check.settings, "tls.enabled")) {
    return ValidateCheckPort(service, path);
  }
  for (size_t i = 0; i < check.settings.size(); ++i) {
    const CheckField& field = kGrpcFields[i];
    const auto* text = std::get_if<std::string>(&check.settings[i]);
    if (!field.name.starts_with("tls.") || text == nullptr || *text == field.default_text) continue;
    return InvalidArgument(std::string(path) + "health_check." + std::string(field.name) + ": " +
                           text->substr(0, 80) + " needs tls.enabled: true");
  }
  return ValidateCheckPort(service, path);
}

// RFC 9113, section 7.
std::string Http2ErrorName(uint32_t code) {
  constexpr std::string_view kNames[] = {"NO_ERROR",
                                         "PROTOCOL_ERROR",
                                         "INTERNAL_ERROR",
                                         "FLOW_CONTROL_ERROR",
                                         "SETTINGS_TIMEOUT",
                                         "STREAM_CLOSED",
                                         "FRAME_SIZE_ERROR",
                                         "REFUSED_STREAM",
                                         "CANCEL",
                                         "COMPRESSION_ERROR",
                                         "CONNECT_ERROR",
                                         "ENHANCE_YOUR_CALM",
                                         "INADEQUATE_SECURITY",
                                         "HTTP_1_1_REQUIRED"};
  return code < std::size(kNames) ? std::string(kNames[code]) : std::to_string(code);
}

std::string GrpcStatusName(uint32_t status) {
  constexpr std::string_view kNames[] = {"OK",
                                         "CANCELLED",
                                         "UNKNOWN",
                                         "INVALID_ARGUMENT",
                                         "DEADLINE_EXCEEDED",
                                         "NOT_FOUND",
                                         "ALREADY_EXISTS",
                                         "PERMISSION_DENIED",
                                         "RESOURCE_EXHAUSTED",
                                         "FAILED_PRECONDITION",
                                         "ABORTED",
                                         "OUT_OF_RANGE",
                                         "UNIMPLEMENTED",
                                         "INTERNAL",
                                         "UNAVAILABLE",
                                         "DATA_LOSS",
                                         "UNAUTHENTICATED"};
  return status < std::size(kNames) ? std::string(kNames[status]) : std::to_string(status);
}

std::string GrpcStatusText(uint32_t status, const std::string& service) {
  const std::string name = " (" + GrpcStatusName(status) + ")";
  if (status == kUnimplementedStatus) return "the server has no health service" + name;
  if (status == kNotFoundStatus)
    return "the server does not know service \"" + service + "\"" + name;
  return "gRPC status " + std::to_string(status) + name;
}

std::string NotServingText(uint32_t state, const std::string& service) {
  const std::string what = service.empty() ? "the server" : "service \"" + service + "\"";
  if (state == kNotServingState) return what + " is NOT_SERVING";
  constexpr std::string_view kNames[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  return "the state of " + what + " is " +
         (state < std::size(kNames) ? std::string(kNames[state]) : std::to_string(state));
}

std::string GrpcText(const FailedCheck& failed) {
  const uint32_t value = ValueOfFailure(failed.detail);
  const GrpcSettings settings = ReadGrpcSettings(failed.settings, failed.address, 0);
  switch (KindOfFailure(failed.detail)) {
    case CheckFailure::kHttp2Error:
      return "the server ended the HTTP/2 connection or stream (" + Http2ErrorName(value) + ")";
    case CheckFailure::kGrpcStatus:
      return GrpcStatusText(value, settings.service);
    case CheckFailure::kNotServing:
      return NotServingText(value, settings.service);
    default:
      return FailureText(failed.detail, settings.tls ? settings.tls->name : "");
  }
}

}  // namespace

GrpcSettings ReadGrpcSettings(const CheckSettings& settings, const IpAddress& address,
                              uint16_t port) {
  GrpcSettings grpc;
  grpc.service = CheckSetting<std::string>(kGrpcCheck, settings, "service");
  const auto& name = CheckSetting<std::string>(kGrpcCheck, settings, "tls.sni");
  grpc.authority = name.empty() ? Endpoint{address, port}.ToString() : name;
  if (CheckSetting<bool>(kGrpcCheck, settings, "tls.enabled")) {
    grpc.tls = ReadTlsSettings(kGrpcCheck, settings, address.ToString());
  }
  return grpc;
}

constinit const CheckType kGrpcCheck = {.name = "grpc",
                                        .number = 5,
                                        .fields = kGrpcFields,
                                        .validate = ValidateGrpcCheck,
                                        .validate_new = ValidateNewCheckPort,
                                        .ports = CheckPorts,
                                        .failure_text = GrpcText,
                                        .is_refused = IsRefusedConnection};

}  // namespace fairlead
