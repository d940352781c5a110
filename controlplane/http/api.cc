#include "controlplane/http/api.h"

#include <algorithm>

namespace fairlead {

void AddRoutes(Api* api, Router* router) {
  AddServiceRoutes(api, router);
  AddBackendRoutes(api, router);
  AddDrainRoutes(api, router);
  AddSeedRoutes(api, router);
  AddStoreRoutes(api, router);
  AddStatusRoutes(api, router);
}

Result<BackendRuntime*> FindRequestBackend(Api* api, const HttpRequest& request) {
  const std::string& service = request.parameters.at("service");
  const std::string& text = request.parameters.at("backend");
  const Result<Endpoint> endpoint = Endpoint::Parse(text);
  RETURN_IF_ERROR(api->registry->FindService(service).status());
  if (!endpoint.ok()) {
    return InvalidArgument("'" + text + "' is not a backend such as 10.0.0.11 or 10.0.0.11:80");
  }
  ASSIGN_OR_RETURN(const BackendSpec* spec, api->registry->FindBackendSpec(service, *endpoint));
  return api->registry->FindRuntime(service, spec->endpoint);
}

namespace {

// Whether the reply shows a backend that the dataplane leaves out, or a frontend that no snapshot has.
bool ShowsLeftOut(const nlohmann::json& json) {
  if (!json.is_object()) return false;
  if (json.contains("left_out_frontends") && !json["left_out_frontends"].empty()) return true;
  if (json.contains("left_out") && !json["left_out"].is_null()) return true;
  return json.contains("backends") && std::ranges::any_of(json["backends"], ShowsLeftOut);
}

}  // namespace

HttpReply ChangeReply(unsigned status, nlohmann::json json, uint64_t generation, bool in_force) {
  in_force = in_force && !ShowsLeftOut(json);
  HttpReply reply;
  reply.status = status;
  if (json.is_object()) {
    json["generation"] = generation;
    json["in_force"] = in_force;
    reply = JsonReply(status, json);
  }
  reply.headers.emplace_back("Fairlead-Generation", std::to_string(generation));
  reply.headers.emplace_back("Fairlead-In-Force", in_force ? "true" : "false");
  return reply;
}

}  // namespace fairlead
