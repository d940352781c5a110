// /v1/services/NAME/backends and .../ENDPOINT
#include "controlplane/http/api.h"
#include "controlplane/http/views.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

HttpReply ListBackends(const Api& api, const HttpRequest& request) {
  const auto service = api.registry->FindService(request.parameters.at("service"));
  if (!service.ok()) return ErrorReply(service.status());
  return JsonReply(200, {{"backends", ServiceView(api, **service)["backends"]}});
}

HttpReply ShowBackend(Api* api, const HttpRequest& request) {
  const Result<BackendRuntime*> backend = FindRequestBackend(api, request);
  if (!backend.ok()) return ErrorReply(backend.status());
  return JsonReply(200, BackendView(*api, api->registry->SpecOf(**backend), **backend));
}

// "weight: 1001 is not ..." -> "backends[2].weight: 1001 is not ..."; "value: ..." is the element
// itself.
std::string AtIndex(size_t index, std::string message) {
  const std::string path = "backends[" + std::to_string(index) + "]";
  if (message.starts_with("value: ")) return path + message.substr(std::string("value").size());
  return path + "." + message;
}

// One backend, or {"backends": [...]}.
Result<std::vector<BackendSpec>> ParseBackends(const std::string& body) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(body));
  std::vector<BackendSpec> specs;
  if (!json.is_object() || !json.contains("backends")) {
    ASSIGN_OR_RETURN(BackendSpec spec, BackendFromJson(json));
    specs.push_back(std::move(spec));
    return specs;
  }
  const Json& list = json["backends"];
  if (json.size() != 1) {
    return InvalidArgument("beside \"backends\" there may be no other field");
  }
  if (!list.is_array() || list.empty()) {
    return InvalidArgument("backends: is not a list of one backend or more");
  }
  for (size_t i = 0; i < list.size(); ++i) {
    Result<BackendSpec> spec = BackendFromJson(list[i]);
    if (!spec.ok()) return InvalidArgument(AtIndex(i, spec.status().message()));
    specs.push_back(*std::move(spec));
  }
  return specs;
}

asio::awaitable<HttpReply> AddBackends(Api* api, const HttpRequest& request) {
  const std::string service = request.parameters.at("service");
  Result<std::vector<BackendSpec>> specs = ParseBackends(request.body);
  if (!specs.ok()) co_return ErrorReply(specs.status());
  const std::vector<BackendSpec> added = *specs;
  const Result<uint64_t> generation = api->registry->AddBackends(service, *std::move(specs));
  if (!generation.ok()) co_return ErrorReply(generation.status());
  const bool in_force = co_await api->publisher->WaitInForce(*generation, kInForceWait);
  Json backends = Json::array();
  for (const BackendSpec& spec : added) {
    const auto present = api->registry->FindBackendSpec(service, spec.endpoint);
    if (!present.ok()) continue;  // removed while we waited
    const BackendRuntime* backend = api->registry->FindRuntime(service, (*present)->endpoint);
    backends.push_back(BackendView(*api, **present, *backend));
  }
  Json json = {{"backends", std::move(backends)}};
  co_return ChangeReply(201, std::move(json), *generation, in_force);
}

// The change that PATCH means: fields of `patch` over those of `present`.
Result<BackendSpec> Patched(const BackendSpec& present, const std::string& body) {
  ASSIGN_OR_RETURN(const Json patch, ParseJson(body));
  if (!patch.is_object() || patch.empty()) {
    return InvalidArgument("the body is not an object with a field to change, such as weight");
  }
  Json merged = BackendToJson(present);
  for (const auto& [name, value] : patch.items()) {
    if (name == "address" || name == "port") {
      return InvalidArgument(name + ": a backend keeps its endpoint; add another and remove this");
    }
    if (value.is_null() && (name == "mac" || name == "vlan")) {
      merged.erase(name);
    } else {
      merged[name] = value;
    }
  }
  return BackendFromJson(merged);
}

asio::awaitable<HttpReply> ReplyWithBackend(Api* api, uint32_t id, uint64_t generation) {
  const bool in_force = co_await api->publisher->WaitInForce(generation, kInForceWait);
  const BackendRuntime* backend = api->registry->FindRuntime(id);
  if (backend == nullptr) co_return ErrorReply(NotFound("the backend was removed meanwhile"));
  Json view = BackendView(*api, api->registry->SpecOf(*backend), *backend);
  co_return ChangeReply(200, std::move(view), generation, in_force);
}

asio::awaitable<HttpReply> PatchBackend(Api* api, const HttpRequest& request) {
  const Result<BackendRuntime*> backend = FindRequestBackend(api, request);
  if (!backend.ok()) co_return ErrorReply(backend.status());
  const Result<BackendSpec> spec = Patched(api->registry->SpecOf(**backend), request.body);
  if (!spec.ok()) co_return ErrorReply(spec.status());
  const Result<uint64_t> generation =
      api->registry->UpdateBackend(request.parameters.at("service"), *spec);
  if (!generation.ok()) co_return ErrorReply(generation.status());
  co_return co_await ReplyWithBackend(api, (*backend)->id, *generation);
}

asio::awaitable<HttpReply> RemoveBackend(Api* api, const HttpRequest& request) {
  const Result<BackendRuntime*> backend = FindRequestBackend(api, request);
  if (!backend.ok()) co_return ErrorReply(backend.status());
  const Endpoint endpoint = (*backend)->endpoint;
  const Result<uint64_t> generation =
      api->registry->RemoveBackend(request.parameters.at("service"), endpoint);
  if (!generation.ok()) co_return ErrorReply(generation.status());
  const bool in_force = co_await api->publisher->WaitInForce(*generation, kInForceWait);
  co_return ChangeReply(204, nullptr, *generation, in_force);
}

}  // namespace

void AddBackendRoutes(Api* api, Router* router) {
  constexpr std::string_view kList = "/v1/services/{service}/backends";
  constexpr std::string_view kOne = "/v1/services/{service}/backends/{backend}";
  router->Add("GET", kList, [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
    co_return ListBackends(*api, request);
  });
  router->Add("POST", kList,
              [api](const HttpRequest& request) { return AddBackends(api, request); });
  router->Add("GET", kOne, [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
    co_return ShowBackend(api, request);
  });
  router->Add("PATCH", kOne,
              [api](const HttpRequest& request) { return PatchBackend(api, request); });
  router->Add("DELETE", kOne,
              [api](const HttpRequest& request) { return RemoveBackend(api, request); });
}

}  // namespace fairlead
