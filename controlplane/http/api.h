// The state that the handlers use, and the routes of the API.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "controlplane/common/time.h"
#include "controlplane/core/intent_log.h"
#include "controlplane/core/reconciler.h"
#include "controlplane/core/resource.h"
#include "controlplane/core/service_states.h"
#include "controlplane/core/status_board.h"
#include "controlplane/core/status_writer.h"
#include "controlplane/http/condition.h"
#include "controlplane/http/router.h"
#include "controlplane/observe/health/checks.h"
#include "controlplane/observe/neighbours/next_hops.h"
#include "controlplane/publish/publisher.h"

namespace fairlead {

// Requests answered, by (method, route pattern, status).
using RequestCounts = std::map<std::tuple<std::string, std::string, unsigned>, uint64_t>;

struct Api {
  IntentLog* log = nullptr;
  const StatusBoard* board = nullptr;
  const ServiceStates* services = nullptr;
  ConditionCounts* conditions = nullptr;
  const StatusWriter* status_writer = nullptr;
  StoreThread* store = nullptr;
  Reconciler* reconciler = nullptr;
  const GenerationCounter* generations = nullptr;
  Publisher* publisher = nullptr;
  const NextHops* next_hops = nullptr;
  const HealthChecks* checks = nullptr;
  const Clock* clock = nullptr;
  ResourceList resources = BuiltInResources();
  SteadyTime started_at{};
  RequestCounts requests;
  size_t watchers = 0;
  bool stopping = false;  // true: streams end
};

// Adds all routes of the API. `api` must outlive the router.
void AddRoutes(Api* api, Router* router);

// Routes that belong to no resource, each group in its own file.
void AddStatusRoutes(Api* api, Router* router);
void AddStoreRoutes(Api* api, Router* router);
void AddWatchRoutes(Api* api, Router* router);

// A backend of a view, which keeps it alive.
struct BackendInView {
  IntentView view;
  const ServiceIntent* service;
  const BackendIntent* backend;
};
// The backend that the request's parameters "service" and "backend" name. Fails with kNotFound, or
// with kInvalidArgument if the endpoint has a syntax error.
Result<BackendInView> FindRequestBackend(const Api& api, const HttpRequest& request);
// The backend with this id as it is now.
Result<BackendInView> FindBackendById(const Api& api, const std::string& service, uint32_t id);
// The backend's status. If the board does not have it yet: an empty status.
const BackendStatus& StatusOf(const Api& api, const BackendIntent& backend);

// Makes the change with the request's author, and with If-Match as the expected revision. Returns
// after the controllers have handled the change, or after 2 s.
boost::asio::awaitable<Result<Committed>> ApplyChange(Api* api, const HttpRequest& request,
                                                      Mutation mutation);

// The reply to a change. Adds revision, generation and in_force to `json`, if it is an object, and
// to the headers. in_force is false if `json` shows a left-out backend or frontend.
HttpReply ChangeReply(unsigned status, nlohmann::json json, const Committed& applied,
                      bool in_force);
// A reply with the intent of `view`. Its ETag is the revision.
HttpReply IntentReply(const nlohmann::json& json, const Intent& view);

}  // namespace fairlead
