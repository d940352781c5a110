#include "tools/fairctl/context.h"

#include <ostream>
#include <utility>

#include "controlplane/client/reply.h"
#include "lib/intent/json.h"

namespace fairlead::fairctl {
namespace {

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

Status Context::Watch(const std::string& from, const WatchEvent& event) {
  RETURN_IF_ERROR(Connect());
  return FollowWatch(transport_.get(), from, event);
}

Result<ControlReply> Context::Send(const std::string& method, const std::string& target,
                                   const std::string& body) {
  RETURN_IF_ERROR(Connect());
  return transport_->Send(method, target, body);
}

Result<std::string> Context::Fetch(const std::string& target) {
  ASSIGN_OR_RETURN(ControlReply reply, Send("GET", target, ""));
  if (reply.status < 400) return std::move(reply.body);
  return ErrorOfReply(reply);
}

Result<Json> Context::Call(const std::string& method, const std::string& target,
                           const std::optional<Json>& body) {
  ASSIGN_OR_RETURN(const ControlReply reply,
                   Send(method, target, body ? body->dump() : std::string()));
  return JsonOfReply(reply, method + " " + target);
}

int Context::Fail(const Status& status) {
  if (json) {
    err() << Json{{"error", {{"code", ApiErrorName(status.code())}, {"message", status.message()}}}}
                 .dump(2)
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
