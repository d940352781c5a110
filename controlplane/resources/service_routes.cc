// /v1/services and /v1/services/NAME
#include <algorithm>

#include "controlplane/http/api.h"
#include "controlplane/http/views.h"
#include "controlplane/resources/resources.h"
#include "lib/intent/checks/check_json.h"
#include "lib/intent/field.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

HttpReply ListServices(const Api& api) {
  const IntentView view = api.log->View();
  Json services = Json::array();
  for (const auto& service : view->services) services.push_back(ServiceView(api, *service));
  return IntentReply({{"services", std::move(services)}}, *view);
}

HttpReply ShowService(const Api& api, const HttpRequest& request) {
  const IntentView view = api.log->View();
  const auto service = FindService(*view, request.parameters.at("service"));
  if (!service.ok()) return ErrorReply(service.status());
  return IntentReply(ServiceView(api, **service), *view);
}

HttpReply ShowServiceStats(const Api& api, const HttpRequest& request) {
  const IntentView view = api.log->View();
  const auto service = FindService(*view, request.parameters.at("service"));
  if (!service.ok()) return ErrorReply(service.status());
  return JsonReply(200, ServiceStatsView(api, **service));
}

Result<ServiceSpec> ParseService(const std::string& body) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(body));
  return ServiceFromJson(json);
}

// Warnings about effects of the request that the caller may not expect; [] if there are none.
Json WarningsAbout(const ServiceSpec& service, const std::string& body) {
  Json warnings = Json::array();
  const Result<Json> asked = ParseJson(body);
  const bool type_asked =
      asked.ok() && asked->contains("health_check") && (*asked)["health_check"].contains("type");
  if (IsUdpOnly(service) && !type_asked) {
    warnings.push_back(
        "no health check: a service with only UDP frontends has none by default, and a failed "
        "backend keeps its share of flows; if the backends also run a TCP server, check it: set "
        "health_check type tcp and its port");
  }
  return warnings;
}

// About the service as it is after the request.
void AddMinHealthyWarning(const ServiceIntent& service, Json* warnings) {
  const uint32_t min = service.settings.min_healthy.count;
  const auto takes = std::ranges::count_if(service.backends, [](const auto& backend) {
    return backend->spec.weight > 0 && !backend->drain.has_value();
  });
  if (takes == 0 || min <= static_cast<size_t>(takes)) return;
  warnings->push_back("min_healthy " + std::to_string(min) + " is above the number of backends " +
                      "that take new flows, " + std::to_string(takes) +
                      ": the service counts as down as soon as one of them is not healthy");
}

// Makes the change, and waits until it is in force. The reply shows the service after the wait.
asio::awaitable<HttpReply> ChangeService(Api* api, const HttpRequest& request, unsigned status,
                                         std::string name, Mutation mutation,
                                         Json warnings = Json::array()) {
  const Result<Committed> applied = co_await ApplyChange(api, request, std::move(mutation));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  const IntentView view = api->log->View();
  const auto service = FindService(*view, name);
  if (!service.ok()) co_return ErrorReply(service.status());  // removed while this waited
  Json json = ServiceView(*api, **service);
  const std::string why_direct = api->checks->WhyChecksAreDirect((*service)->settings);
  if (!why_direct.empty() && api->publisher->link().connected()) {
    warnings.push_back("health checks are direct, not through the dataplane: " + why_direct);
  }
  AddMinHealthyWarning(**service, &warnings);
  json["warnings"] = std::move(warnings);
  co_return ChangeReply(status, std::move(json), *applied, in_force);
}

asio::awaitable<HttpReply> PostService(Api* api, const HttpRequest& request) {
  Result<ServiceSpec> service = ParseService(request.body);
  if (!service.ok()) co_return ErrorReply(service.status());
  std::string name = service->name;
  Json warnings = WarningsAbout(*service, request.body);
  co_return co_await ChangeService(api, request, 201, std::move(name),
                                   AddService(*std::move(service)), std::move(warnings));
}

asio::awaitable<HttpReply> PutService(Api* api, const HttpRequest& request) {
  const std::string& name = request.parameters.at("service");
  Result<ServiceSpec> service = ParseService(request.body);
  if (!service.ok()) co_return ErrorReply(service.status());
  if (service->name != name) {
    co_return ErrorReply(InvalidArgument("name: \"" + service->name +
                                         "\" is not the name in the path, \"" + name + "\""));
  }
  Json warnings = WarningsAbout(*service, request.body);
  co_return co_await ChangeService(api, request, 200, name, ReplaceService(*std::move(service)),
                                   std::move(warnings));
}

bool NamesOtherCheck(const Json& patch, std::string_view type) {
  const auto check = patch.find("health_check");
  return check != patch.end() && check->is_object() && check->contains("type") &&
         (*check)["type"] != type;
}

// `present` with the settings of `body`; null resets a setting to its default. Backends stay.
Result<ServiceSpec> Patched(const ServiceSpec& present, const std::string& body) {
  ASSIGN_OR_RETURN(const Json patch, ParseJson(body));
  if (!patch.is_object() || patch.empty()) {
    return InvalidArgument("the body is not an object with a setting to change, such as hash");
  }
  if (patch.contains("name")) {
    return InvalidArgument("name: a service keeps its name; add a service and remove this");
  }
  if (patch.contains("backends")) {
    return InvalidArgument("backends: change them one by one below /backends, or all with PUT");
  }
  Json merged = ServiceToJson(present);
  if (patch.contains("forwarding") && patch["forwarding"] != merged["forwarding"]) {
    // Remove the settings of the old mode: the new mode may not have them.
    for (const FieldDescription& field : ServiceFields()) {
      if (field.info.setting.has_value()) merged.erase(std::string(field.info.name));
    }
  }
  const CheckType& check = *present.health_check.type;
  if (NamesOtherCheck(patch, check.name)) {
    for (const std::string_view member : CheckMembers(check)) {
      merged["health_check"].erase(std::string(member));
    }
  }
  merged.merge_patch(patch);
  return ServiceFromJson(merged);
}

asio::awaitable<HttpReply> PatchService(Api* api, const HttpRequest& request) {
  const std::string& name = request.parameters.at("service");
  const auto edit = [body = request.body](const ServiceSpec& present) {
    return Patched(present, body);
  };
  co_return co_await ChangeService(api, request, 200, name, EditService(name, edit));
}

asio::awaitable<HttpReply> DeleteService(Api* api, const HttpRequest& request) {
  const Result<Committed> applied =
      co_await ApplyChange(api, request, RemoveService(request.parameters.at("service")));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  co_return ChangeReply(204, nullptr, *applied, in_force);
}

}  // namespace

void AddServiceRoutes(Api* api, Router* router) {
  router->Add("GET", "/v1/services", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    co_return ListServices(*api);
  });
  router->Add("POST", "/v1/services",
              [api](const HttpRequest& request) { return PostService(api, request); });
  router->Add("GET", "/v1/services/{service}",
              [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
                co_return ShowService(*api, request);
              });
  router->Add("GET", "/v1/services/{service}/stats",
              [api](const HttpRequest& request) -> asio::awaitable<HttpReply> {
                co_return ShowServiceStats(*api, request);
              });
  router->Add("PUT", "/v1/services/{service}",
              [api](const HttpRequest& request) { return PutService(api, request); });
  router->Add("PATCH", "/v1/services/{service}",
              [api](const HttpRequest& request) { return PatchService(api, request); });
  router->Add("DELETE", "/v1/services/{service}",
              [api](const HttpRequest& request) { return DeleteService(api, request); });
}

}  // namespace fairlead
