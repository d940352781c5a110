// /v1/services/NAME/backends/ENDPOINT/drain
#include "controlplane/http/api.h"
#include "controlplane/http/views.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

// nullopt: the service's own.
Result<std::optional<uint32_t>> ParseTimeout(const std::string& body) {
  if (body.find_first_not_of(" \t\r\n") == std::string::npos) return std::optional<uint32_t>();
  ASSIGN_OR_RETURN(const Json json, ParseJson(body));
  if (!json.is_object()) return InvalidArgument("the body is not an object");
  for (const auto& [name, value] : json.items()) {
    if (name != "timeout") {
      return InvalidArgument("the body has a field that is not known; a drain has timeout");
    }
  }
  if (json.empty()) return std::optional<uint32_t>();
  const Json& value = json["timeout"];
  const Result<uint32_t> timeout =
      value.is_string() ? ParseDurationMs(value.get<std::string>()) : InvalidArgument("not text");
  if (!timeout.ok()) {
    return InvalidArgument(
        "timeout: is not a duration: write a number and ms, s, m or h, such as "
        "\"60s\"");
  }
  if (*timeout > kMaxDrainTimeoutMs) {
    return InvalidArgument("timeout: " + FormatDurationMs(*timeout) + " is not within 0s.." +
                           FormatDurationMs(kMaxDrainTimeoutMs));
  }
  return std::optional<uint32_t>(*timeout);
}

HttpReply ShowDrain(const Api& api, const HttpRequest& request) {
  const Result<BackendInView> found = FindRequestBackend(api, request);
  if (!found.ok()) return ErrorReply(found.status());
  if (!found->backend->drain.has_value()) {
    return ErrorReply(NotFound("backend " + found->backend->spec.endpoint.ToString() +
                               " of service '" + found->service->name() + "' is not draining"));
  }
  return IntentReply(DrainView(api, *found->service, *found->backend), *found->view);
}

// A drain that is over stays as it is.
bool IsOver(const Api& api, const BackendIntent& backend) {
  const DrainProgress& progress = StatusOf(api, backend).drain;
  return backend.drain.has_value() && progress.finished() &&
         progress.drain_revision == backend.drain->revision;
}

asio::awaitable<HttpReply> StartDrain(Api* api, const HttpRequest& request) {
  const Result<BackendInView> found = FindRequestBackend(*api, request);
  if (!found.ok()) co_return ErrorReply(found.status());
  Result<std::optional<uint32_t>> timeout = ParseTimeout(request.body);
  if (!timeout.ok()) co_return ErrorReply(timeout.status());
  if (IsOver(*api, *found->backend)) timeout = std::optional<uint32_t>();
  const std::string service = found->service->name();
  const Result<Applied> applied = co_await ApplyChange(
      api, request, DrainBackend(service, found->backend->spec.endpoint, *timeout));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  const Result<BackendInView> present = FindBackendById(*api, service, found->backend->id);
  if (!present.ok() || !present->backend->drain.has_value()) {
    co_return ErrorReply(NotFound("the backend was removed or undrained meanwhile"));
  }
  Json view = DrainView(*api, *present->service, *present->backend);
  co_return ChangeReply(200, std::move(view), *applied, in_force);
}

asio::awaitable<HttpReply> RemoveDrain(Api* api, const HttpRequest& request) {
  const Result<BackendInView> found = FindRequestBackend(*api, request);
  if (!found.ok()) co_return ErrorReply(found.status());
  const std::string service = found->service->name();
  const Result<Applied> applied =
      co_await ApplyChange(api, request, UndrainBackend(service, found->backend->spec.endpoint));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  const Result<BackendInView> present = FindBackendById(*api, service, found->backend->id);
  if (!present.ok()) co_return ErrorReply(present.status());
  Json view = BackendView(*api, *present->service, *present->backend);
  co_return ChangeReply(200, std::move(view), *applied, in_force);
}

}  // namespace

void AddDrainRoutes(Api* api, Router* router) {
  constexpr std::string_view kDrain = "/v1/services/{service}/backends/{backend}/drain";
  router->Add("GET", kDrain, [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
    co_return ShowDrain(*api, request);
  });
  router->Add("PUT", kDrain,
              [api](const HttpRequest& request) { return StartDrain(api, request); });
  router->Add("DELETE", kDrain,
              [api](const HttpRequest& request) { return RemoveDrain(api, request); });
}

}  // namespace fairlead
