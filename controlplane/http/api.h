// What the handlers work on, and the routes of the API.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "controlplane/common/time.h"
#include "controlplane/core/registry.h"
#include "controlplane/http/router.h"
#include "controlplane/observe/drain/drains.h"
#include "controlplane/observe/neighbours/next_hops.h"
#include "controlplane/publish/publisher.h"

namespace fairlead {

// Requests answered, by (method, route pattern, status).
using RequestCounts = std::map<std::tuple<std::string, std::string, unsigned>, uint64_t>;

struct Api {
  Registry* registry = nullptr;
  Publisher* publisher = nullptr;
  Drains* drains = nullptr;
  const NextHops* next_hops = nullptr;
  const Clock* clock = nullptr;
  SteadyTime started_at{};
  RequestCounts requests;
};

// The whole API. `api` must outlive the router.
void AddRoutes(Api* api, Router* router);

// The groups of it, each in its own file.
void AddServiceRoutes(Api* api, Router* router);
void AddBackendRoutes(Api* api, Router* router);
void AddDrainRoutes(Api* api, Router* router);
void AddSeedRoutes(Api* api, Router* router);
void AddStatusRoutes(Api* api, Router* router);
void AddStoreRoutes(Api* api, Router* router);

// The request's backend: parameters "service" and "backend". Fails with kNotFound, or
// kInvalidArgument when the endpoint is not one.
Result<BackendRuntime*> FindRequestBackend(Api* api, const HttpRequest& request);

// The reply to a change, once `generation` was waited for: generation and in_force go into its JSON
// object, if there is one, and into headers. A reply that shows a backend which the dataplane leaves
// out is not in force.
HttpReply ChangeReply(unsigned status, nlohmann::json json, uint64_t generation, bool in_force);

}  // namespace fairlead
