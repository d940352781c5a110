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

HttpReply ShowDrain(Api* api, const HttpRequest& request) {
  const Result<BackendRuntime*> backend = FindRequestBackend(api, request);
  if (!backend.ok()) return ErrorReply(backend.status());
  if (!(*backend)->drain.has_value()) {
    return ErrorReply(NotFound("backend " + (*backend)->endpoint.ToString() + " of service '" +
                               (*backend)->service + "' is not draining"));
  }
  return JsonReply(200, DrainView(*api, **backend));
}

asio::awaitable<HttpReply> StartDrain(Api* api, const HttpRequest& request) {
  const Result<BackendRuntime*> backend = FindRequestBackend(api, request);
  if (!backend.ok()) co_return ErrorReply(backend.status());
  const Result<std::optional<uint32_t>> timeout = ParseTimeout(request.body);
  if (!timeout.ok()) co_return ErrorReply(timeout.status());
  const uint32_t id = (*backend)->id;
  const Result<uint64_t> generation = api->drains->Start(*backend, *timeout);
  if (!generation.ok()) co_return ErrorReply(generation.status());
  const bool in_force = co_await api->publisher->WaitInForce(*generation, kInForceWait);
  const BackendRuntime* drained = api->registry->FindRuntime(id);
  if (drained == nullptr || !drained->drain.has_value()) {
    co_return ErrorReply(NotFound("the backend was removed or undrained meanwhile"));
  }
  Json view = DrainView(*api, *drained);
  co_return ChangeReply(200, std::move(view), *generation, in_force);
}

asio::awaitable<HttpReply> RemoveDrain(Api* api, const HttpRequest& request) {
  const Result<BackendRuntime*> backend = FindRequestBackend(api, request);
  if (!backend.ok()) co_return ErrorReply(backend.status());
  const uint32_t id = (*backend)->id;
  const Result<uint64_t> generation = api->drains->Undrain(*backend);
  if (!generation.ok()) co_return ErrorReply(generation.status());
  const bool in_force = co_await api->publisher->WaitInForce(*generation, kInForceWait);
  const BackendRuntime* present = api->registry->FindRuntime(id);
  if (present == nullptr) co_return ErrorReply(NotFound("the backend was removed meanwhile"));
  Json view = BackendView(*api, api->registry->SpecOf(*present), *present);
  co_return ChangeReply(200, std::move(view), *generation, in_force);
}

}  // namespace

void AddDrainRoutes(Api* api, Router* router) {
  constexpr std::string_view kDrain = "/v1/services/{service}/backends/{backend}/drain";
  router->Add("GET", kDrain, [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
    co_return ShowDrain(api, request);
  });
  router->Add("PUT", kDrain,
              [api](const HttpRequest& request) { return StartDrain(api, request); });
  router->Add("DELETE", kDrain,
              [api](const HttpRequest& request) { return RemoveDrain(api, request); });
}

}  // namespace fairlead
