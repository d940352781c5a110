#include "controlplane/http/message.h"

#include "lib/intent/json.h"

namespace fairlead {
namespace {

unsigned HttpStatusOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kWrongOwner:
      return 409;
    case ErrorCode::kHistoryGone:
      return 410;
    case ErrorCode::kStaleRevision:
      return 412;
    case ErrorCode::kResourceExhausted:
      return 413;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kOk:
    case ErrorCode::kDataLoss:
    case ErrorCode::kInternal:
      break;
  }
  return 500;
}

}  // namespace

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kAlreadyExists:
      return "already_exists";
    case ErrorCode::kFailedPrecondition:
      return "failed_precondition";
    case ErrorCode::kWrongOwner:
      return "wrong_owner";
    case ErrorCode::kHistoryGone:
      return "history_gone";
    case ErrorCode::kStaleRevision:
      return "stale_revision";
    case ErrorCode::kResourceExhausted:
      return "resource_exhausted";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kOk:
    case ErrorCode::kDataLoss:
    case ErrorCode::kInternal:
      break;
  }
  return "internal";
}

HttpReply JsonReply(unsigned status, const nlohmann::json& json) {
  HttpReply reply;
  reply.status = status;
  reply.body = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  reply.body.push_back('\n');
  return reply;
}

HttpReply ErrorReply(unsigned http_status, std::string_view code, const std::string& message,
                     const std::string& field) {
  nlohmann::json error = {{"code", code}, {"message", message}};
  if (!field.empty()) error["field"] = field;
  return JsonReply(http_status, {{"error", std::move(error)}});
}

HttpReply ErrorReply(const Status& status) {
  return ErrorReply(HttpStatusOf(status.code()), ErrorCodeName(status.code()), status.message(),
                    FieldOfMessage(status.message()));
}

}  // namespace fairlead
