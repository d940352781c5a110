// /v1/services and /v1/services/NAME
#include "controlplane/http/api.h"
#include "controlplane/http/views.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

HttpReply ListServices(const Api& api) {
  Json services = Json::array();
  for (const ServiceSpec& service : api.registry->intent().services) {
    services.push_back(ServiceView(api, service));
  }
  return JsonReply(200, {{"services", std::move(services)}});
}

HttpReply ShowService(const Api& api, const HttpRequest& request) {
  const auto service = api.registry->FindService(request.parameters.at("service"));
  if (!service.ok()) return ErrorReply(service.status());
  return JsonReply(200, ServiceView(api, **service));
}

Result<ServiceSpec> ParseService(const std::string& body) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(body));
  return ServiceFromJson(json);
}

// What the caller may not expect of a service as the request describes it; [] when there is nothing.
Json WarningsAbout(const ServiceSpec& service, const std::string& body) {
  Json warnings = Json::array();
  const Result<Json> asked = ParseJson(body);
  const bool type_asked =
      asked.ok() && asked->contains("health_check") && (*asked)["health_check"].contains("type");
  if (IsUdpOnly(service) && !type_asked) {
    warnings.push_back(
        "no health check: a service with UDP frontends only has none by default, and a dead "
        "backend keeps its share; if a TCP server runs beside it, check that: health_check type "
        "tcp and its port");
  }
  return warnings;
}

// The view is made after the wait, so that it shows what the change led to.
asio::awaitable<HttpReply> ReplyWithService(Api* api, unsigned status, std::string name,
                                            Result<uint64_t> generation,
                                            Json warnings = Json::array()) {
  if (!generation.ok()) co_return ErrorReply(generation.status());
  const bool in_force = co_await api->publisher->WaitInForce(*generation, kInForceWait);
  const auto service = api->registry->FindService(name);
  if (!service.ok()) co_return ErrorReply(service.status());  // removed while we waited
  Json view = ServiceView(*api, **service);
  view["warnings"] = std::move(warnings);
  co_return ChangeReply(status, std::move(view), *generation, in_force);
}

asio::awaitable<HttpReply> CreateService(Api* api, const HttpRequest& request) {
  Result<ServiceSpec> service = ParseService(request.body);
  if (!service.ok()) co_return ErrorReply(service.status());
  std::string name = service->name;
  Json warnings = WarningsAbout(*service, request.body);
  Result<uint64_t> generation = api->registry->AddService(*std::move(service));
  co_return co_await ReplyWithService(api, 201, std::move(name), std::move(generation),
                                      std::move(warnings));
}

asio::awaitable<HttpReply> ReplaceService(Api* api, const HttpRequest& request) {
  const std::string& name = request.parameters.at("service");
  Result<ServiceSpec> service = ParseService(request.body);
  if (!service.ok()) co_return ErrorReply(service.status());
  if (service->name != name) {
    co_return ErrorReply(InvalidArgument("name: \"" + service->name +
                                         "\" is not the name in the path, \"" + name + "\""));
  }
  Json warnings = WarningsAbout(*service, request.body);
  Result<uint64_t> generation = api->registry->ReplaceService(*std::move(service));
  co_return co_await ReplyWithService(api, 200, name, std::move(generation), std::move(warnings));
}

// `present` with other settings: null is a setting's default. Backends stay as they are.
Result<ServiceSpec> Patched(const ServiceSpec& present, const std::string& body) {
  ASSIGN_OR_RETURN(const Json patch, ParseJson(body));
  if (!patch.is_object() || patch.empty()) {
    return InvalidArgument("the body is not an object with a setting to change, such as hash");
  }
  if (patch.contains("name")) {
    return InvalidArgument("name: a service keeps its name; add another and remove this");
  }
  if (patch.contains("backends")) {
    return InvalidArgument("backends: are changed one by one below /backends, or all by PUT");
  }
  Json merged = ServiceToJson(present);
  if (patch.contains("forwarding") && patch["forwarding"] != merged["forwarding"]) {
    // What another mode has is no setting of the new one.
    for (const char* field : {"gue_port", "gue_checksum", "second_chance", "mss_clamp"}) {
      merged.erase(field);
    }
  }
  merged.merge_patch(patch);
  return ServiceFromJson(merged);
}

asio::awaitable<HttpReply> PatchService(Api* api, const HttpRequest& request) {
  const std::string& name = request.parameters.at("service");
  const Result<const ServiceSpec*> present = api->registry->FindService(name);
  if (!present.ok()) co_return ErrorReply(present.status());
  Result<ServiceSpec> service = Patched(**present, request.body);
  if (!service.ok()) co_return ErrorReply(service.status());
  Result<uint64_t> generation = api->registry->ReplaceService(*std::move(service));
  co_return co_await ReplyWithService(api, 200, name, std::move(generation));
}

asio::awaitable<HttpReply> RemoveService(Api* api, const HttpRequest& request) {
  const Result<uint64_t> generation =
      api->registry->RemoveService(request.parameters.at("service"));
  if (!generation.ok()) co_return ErrorReply(generation.status());
  const bool in_force = co_await api->publisher->WaitInForce(*generation, kInForceWait);
  co_return ChangeReply(204, nullptr, *generation, in_force);
}

}  // namespace

void AddServiceRoutes(Api* api, Router* router) {
  router->Add("GET", "/v1/services", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    co_return ListServices(*api);
  });
  router->Add("POST", "/v1/services",
              [api](const HttpRequest& request) { return CreateService(api, request); });
  router->Add("GET", "/v1/services/{service}",
              [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
                co_return ShowService(*api, request);
              });
  router->Add("PUT", "/v1/services/{service}",
              [api](const HttpRequest& request) { return ReplaceService(api, request); });
  router->Add("PATCH", "/v1/services/{service}",
              [api](const HttpRequest& request) { return PatchService(api, request); });
  router->Add("DELETE", "/v1/services/{service}",
              [api](const HttpRequest& request) { return RemoveService(api, request); });
}

}  // namespace fairlead
