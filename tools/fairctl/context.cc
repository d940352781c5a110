#include "tools/fairctl/context.h"

#include <ostream>
#include <utility>

#include "lib/intent/json.h"
#include "tools/fairctl/format.h"

namespace fairlead::fairctl {
namespace {

constexpr size_t kMaxReplyBytes = size_t{256} << 20;

struct CodeWord {
  std::string_view word;
  ErrorCode code;
};
constexpr CodeWord kCodeWords[] = {
    {"invalid_argument", ErrorCode::kInvalidArgument},
    {"not_found", ErrorCode::kNotFound},
    {"already_exists", ErrorCode::kAlreadyExists},
    {"failed_precondition", ErrorCode::kFailedPrecondition},
    {"resource_exhausted", ErrorCode::kResourceExhausted},
    {"unavailable", ErrorCode::kUnavailable},
    {"data_loss", ErrorCode::kDataLoss},
    {"internal", ErrorCode::kInternal},
    {"stale_revision", ErrorCode::kStaleRevision},
    {"wrong_owner", ErrorCode::kWrongOwner},
    {"history_gone", ErrorCode::kHistoryGone},
};

std::string_view WordOf(ErrorCode code) {
  for (const CodeWord& entry : kCodeWords) {
    if (entry.code == code) return entry.word;
  }
  return "internal";
}

// fairleadd answered; `unavailable` from it (no dataplane, say) is a refusal, not silence.
ErrorCode CodeOf(std::string_view word, unsigned http_status) {
  for (const CodeWord& entry : kCodeWords) {
    if (entry.word != word) continue;
    return entry.code == ErrorCode::kUnavailable ? ErrorCode::kFailedPrecondition : entry.code;
  }
  return http_status == 404 ? ErrorCode::kNotFound : ErrorCode::kInternal;
}

Status ErrorOf(const HttpReply& reply, const Json& body) {
  const Json& error = Member(body, "error");
  const std::string message = TextOf(Member(error, "message"));
  const ErrorCode code = CodeOf(TextOf(Member(error, "code")), reply.status);
  if (message.empty()) {
    return {code, "fairleadd answered with HTTP status " + std::to_string(reply.status)};
  }
  return {code, message};
}

std::string Escaped(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      escaped += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    escaped += '%';
    escaped += kHex[byte >> 4];
    escaped += kHex[byte & 15];
  }
  return escaped;
}

}  // namespace

Status Context::Connect() {
  if (transport_ != nullptr) return {};
  ASSIGN_OR_RETURN(const uint32_t timeout_ms, ParseDurationMs(request_timeout));
  transport_ = environment_->connect(socket_path, std::chrono::milliseconds(timeout_ms));
  return {};
}

Status Context::Follow(const std::string& target, const std::string& from,
                       const std::function<bool(const std::string&)>& line) {
  RETURN_IF_ERROR(Connect());
  ASSIGN_OR_RETURN(const HttpReply reply, transport_->Follow(target, from, line));
  if (reply.status < 400) return {};
  const Result<Json> error = ParseJson(reply.body, kMaxReplyBytes);
  return ErrorOf(reply, error.ok() ? *error : Json());
}

Result<HttpReply> Context::Send(const std::string& method, const std::string& target,
                                const std::string& body) {
  RETURN_IF_ERROR(Connect());
  return transport_->Send(method, target, body);
}

Result<std::string> Context::Fetch(const std::string& target) {
  ASSIGN_OR_RETURN(HttpReply reply, Send("GET", target, ""));
  if (reply.status < 400) return std::move(reply.body);
  const Result<Json> error = ParseJson(reply.body, kMaxReplyBytes);
  return ErrorOf(reply, error.ok() ? *error : Json());
}

Result<Json> Context::Call(const std::string& method, const std::string& target,
                           const std::optional<Json>& body) {
  ASSIGN_OR_RETURN(const HttpReply reply,
                   Send(method, target, body ? body->dump() : std::string()));
  Json value;
  if (!reply.body.empty()) {
    Result<Json> parsed = ParseJson(reply.body, kMaxReplyBytes);
    if (!parsed.ok()) {
      return Internal("fairleadd answered " + method + " " + target + " with HTTP status " +
                      std::to_string(reply.status) + " and a body that is not JSON");
    }
    value = *std::move(parsed);
  }
  if (reply.status >= 400) return ErrorOf(reply, value);
  if (reply.body.empty() && Json::accept(reply.generation)) {
    value = {{"generation", Json::parse(reply.generation)}, {"in_force", reply.in_force == "true"}};
  }
  return value;
}

int Context::Fail(const Status& status) {
  if (json) {
    err() << Json{{"error", {{"code", WordOf(status.code())}, {"message", status.message()}}}}.dump(
                 2)
          << '\n';
  } else {
    err() << "fairctl: " << status.message() << '\n';
  }
  return ExitCodeOf(status.code());
}

int Context::FailUsage(const std::string& message) {
  Fail(InvalidArgument(message));
  return kExitUsage;
}

bool Context::PrintJson(const Json& value) {
  if (json) out() << (value.is_null() ? Json::object() : value).dump(2) << std::endl;
  return json;
}

std::string ServicePath(const std::string& service) { return "/v1/services/" + Escaped(service); }

std::string BackendPath(const std::string& service, const Endpoint& endpoint) {
  return ServicePath(service) + "/backends/" + Escaped(endpoint.ToString());
}

}  // namespace fairlead::fairctl
