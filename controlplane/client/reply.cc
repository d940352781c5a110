#include "controlplane/client/reply.h"

#include <string>
#include <utility>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxReplyBytes = size_t{256} << 20;

struct NamedCode {
  std::string_view name;
  ErrorCode code;
};
constexpr NamedCode kNamedCodes[] = {
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

// `unavailable` in a reply (for example: no dataplane) becomes kFailedPrecondition, because
// fairleadd did answer. kUnavailable means that fairleadd itself could not be reached.
ErrorCode CodeOf(std::string_view name, unsigned http_status) {
  for (const NamedCode& entry : kNamedCodes) {
    if (entry.name != name) continue;
    return entry.code == ErrorCode::kUnavailable ? ErrorCode::kFailedPrecondition : entry.code;
  }
  return http_status == 404 ? ErrorCode::kNotFound : ErrorCode::kInternal;
}

// The member `name` as text; empty if it is missing or not text.
std::string TextAt(const Json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Status ErrorIn(const ControlReply& reply, const Json& body) {
  const Json error = body.is_object() ? body.value("error", Json()) : Json();
  const std::string message = TextAt(error, "message");
  const ErrorCode code = CodeOf(TextAt(error, "code"), reply.status);
  if (message.empty()) {
    return {code, "fairleadd answered with HTTP status " + std::to_string(reply.status)};
  }
  return {code, message};
}

}  // namespace

std::string_view ApiErrorName(ErrorCode code) {
  for (const NamedCode& entry : kNamedCodes) {
    if (entry.code == code) return entry.name;
  }
  return "internal";
}

Status ErrorOfReply(const ControlReply& reply) {
  const Result<Json> body = ParseJson(reply.body, kMaxReplyBytes);
  return ErrorIn(reply, body.ok() ? *body : Json());
}

Result<Json> JsonOfReply(const ControlReply& reply, std::string_view request) {
  Json value;
  if (!reply.body.empty()) {
    Result<Json> parsed = ParseJson(reply.body, kMaxReplyBytes);
    if (!parsed.ok()) {
      return Internal("fairleadd answered " + std::string(request) + " with HTTP status " +
                      std::to_string(reply.status) + " and a body that is not JSON");
    }
    value = *std::move(parsed);
  }
  if (reply.status >= 400) return ErrorIn(reply, value);
  if (reply.body.empty() && Json::accept(reply.generation)) {
    value = {{"generation", Json::parse(reply.generation)}, {"in_force", reply.in_force == "true"}};
  }
  return value;
}

}  // namespace fairlead
