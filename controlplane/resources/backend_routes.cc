// /v1/services/NAME/backends and .../ENDPOINT
#include <algorithm>

#include "controlplane/http/api.h"
#include "controlplane/http/views.h"
#include "controlplane/resources/resources.h"
#include "lib/intent/field.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

HttpReply ListBackends(const Api& api, const HttpRequest& request) {
  const IntentView view = api.log->View();
  const auto service = FindService(*view, request.parameters.at("service"));
  if (!service.ok()) return ErrorReply(service.status());
  return IntentReply({{"backends", ServiceView(api, **service)["backends"]}}, *view);
}

HttpReply ShowBackend(const Api& api, const HttpRequest& request) {
  const Result<BackendInView> found = FindRequestBackend(api, request);
  if (!found.ok()) return ErrorReply(found.status());
  return IntentReply(BackendView(api, *found->service, *found->backend), *found->view);
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
    return InvalidArgument("the body has other fields beside \"backends\"; remove them");
  }
  if (!list.is_array() || list.empty()) {
    return InvalidArgument("backends: is not a list of at least one backend");
  }
  for (size_t i = 0; i < list.size(); ++i) {
    Result<BackendSpec> spec = BackendFromJson(list[i]);
    if (!spec.ok()) return InvalidArgument(AtIndex(i, spec.status().message()));
    specs.push_back(*std::move(spec));
  }
  return specs;
}

asio::awaitable<HttpReply> PostBackends(Api* api, const HttpRequest& request) {
  const std::string service = request.parameters.at("service");
  Result<std::vector<BackendSpec>> specs = ParseBackends(request.body);
  if (!specs.ok()) co_return ErrorReply(specs.status());
  const std::vector<BackendSpec> added = *specs;
  const Result<Committed> applied =
      co_await ApplyChange(api, request, AddBackends(service, *std::move(specs)));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  const IntentView view = api->log->View();
  const ServiceIntent* present = view->Find(service);
  Json backends = Json::array();
  for (const BackendSpec& spec : added) {
    const BackendIntent* backend =
        present == nullptr ? nullptr : present->FindByRequest(spec.endpoint);
    if (backend == nullptr) continue;  // removed while this request waited
    backends.push_back(BackendView(*api, *present, *backend));
  }
  Json json = {{"backends", std::move(backends)}};
  co_return ChangeReply(201, std::move(json), *applied, in_force);
}

// Whether null removes the field in a PATCH: true for fields that a backend need not have.
bool MayBeUnset(const std::string& name) {
  static const Json kDefaults = BackendToJson({});
  return !kDefaults.contains(name) &&
         std::ranges::any_of(BackendFields(), [&](const FieldDescription& field) {
           return field.info.name == name;
         });
}

// The result of a PATCH: the fields of `body` replace those of `present`.
Result<BackendSpec> Patched(const BackendSpec& present, const std::string& body) {
  ASSIGN_OR_RETURN(const Json patch, ParseJson(body));
  if (!patch.is_object() || patch.empty()) {
    return InvalidArgument("the body is not an object with a field to change, such as weight");
  }
  Json merged = BackendToJson(present);
  for (const auto& [name, value] : patch.items()) {
    if (name == "address" || name == "port") {
      return InvalidArgument(name +
                             ": a backend keeps its endpoint; add a backend and remove this");
    }
    if (value.is_null() && MayBeUnset(name)) {
      merged.erase(name);
    } else {
      merged[name] = value;
    }
  }
  return BackendFromJson(merged);
}

asio::awaitable<HttpReply> PatchBackend(Api* api, const HttpRequest& request) {
  const Result<BackendInView> found = FindRequestBackend(*api, request);
  if (!found.ok()) co_return ErrorReply(found.status());
  const std::string service = found->service->name();
  const uint32_t id = found->backend->id;
  const auto edit = [body = request.body](const BackendSpec& present) {
    return Patched(present, body);
  };
  const Result<Committed> applied =
      co_await ApplyChange(api, request, EditBackend(service, found->backend->spec.endpoint, edit));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  const Result<BackendInView> present = FindBackendById(*api, service, id);
  if (!present.ok()) co_return ErrorReply(present.status());
  Json view = BackendView(*api, *present->service, *present->backend);
  co_return ChangeReply(200, std::move(view), *applied, in_force);
}

asio::awaitable<HttpReply> DeleteBackend(Api* api, const HttpRequest& request) {
  const Result<BackendInView> found = FindRequestBackend(*api, request);
  if (!found.ok()) co_return ErrorReply(found.status());
  const Result<Committed> applied = co_await ApplyChange(
      api, request, RemoveBackend(found->service->name(), found->backend->spec.endpoint));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  co_return ChangeReply(204, nullptr, *applied, in_force);
}

}  // namespace

void AddBackendRoutes(Api* api, Router* router) {
  constexpr std::string_view kList = "/v1/services/{service}/backends";
  constexpr std::string_view kOne = "/v1/services/{service}/backends/{backend}";
  router->Add("GET", kList, [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
    co_return ListBackends(*api, request);
  });
  router->Add("POST", kList,
              [api](const HttpRequest& request) { return PostBackends(api, request); });
  router->Add("GET", kOne, [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
    co_return ShowBackend(*api, request);
  });
  router->Add("PATCH", kOne,
              [api](const HttpRequest& request) { return PatchBackend(api, request); });
  router->Add("DELETE", kOne,
              [api](const HttpRequest& request) { return DeleteBackend(api, request); });
}

}  // namespace fairlead
