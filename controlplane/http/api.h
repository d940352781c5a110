// What the handlers work on, and the routes of the API.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "controlplane/common/time.h"
#include "controlplane/core/intent_log.h"
#include "controlplane/core/reconciler.h"
#include "controlplane/core/resource.h"
#include "controlplane/core/status_board.h"
#include "controlplane/core/status_writer.h"
#include "controlplane/http/condition.h"
#include "controlplane/http/router.h"
#include "controlplane/observe/neighbours/next_hops.h"
#include "controlplane/publish/publisher.h"

namespace fairlead {

// Requests answered, by (method, route pattern, status).
using RequestCounts = std::map<std::tuple<std::string, std::string, unsigned>, uint64_t>;

struct Api {
  IntentLog* log = nullptr;
  const StatusBoard* board = nullptr;
  ConditionCounts* conditions = nullptr;
  const StatusWriter* status_writer = nullptr;
  StoreThread* store = nullptr;
  Reconciler* reconciler = nullptr;
  const GenerationCounter* generations = nullptr;
  Publisher* publisher = nullptr;
  const NextHops* next_hops = nullptr;
  const Clock* clock = nullptr;
  ResourceList resources = BuiltInResources();
  SteadyTime started_at{};
  RequestCounts requests;
  size_t watchers = 0;
  bool stopping = false;  // streams end
};

// The whole API. `api` must outlive the router.
void AddRoutes(Api* api, Router* router);

// What belongs to no resource, each group in its own file.
void AddStatusRoutes(Api* api, Router* router);
void AddStoreRoutes(Api* api, Router* router);
void AddWatchRoutes(Api* api, Router* router);

// A backend of a view, which keeps it alive.
struct BackendInView {
  IntentView view;
  const ServiceIntent* service;
  const BackendIntent* backend;
};
// The request's, by its parameters "service" and "backend". Fails with kNotFound, or kInvalidArgument
// when the endpoint is not one.
Result<BackendInView> FindRequestBackend(const Api& api, const HttpRequest& request);
// The backend with this id as it is now.
Result<BackendInView> FindBackendById(const Api& api, const std::string& service, uint32_t id);
// What is known of it; of a backend that the board does not have yet: nothing.
const BackendStatus& StatusOf(const Api& api, const BackendIntent& backend);

// Makes the change as the request asks for it: its author, and If-Match as the expected revision. The
// controllers have seen it when this returns.
boost::asio::awaitable<Result<Applied>> ApplyChange(Api* api, const HttpRequest& request,
                                                    Mutation mutation);

// The reply to a change, once it was waited for: revision, generation and in_force go into its JSON
// object, if there is one, and into headers. A reply that shows a backend which the dataplane leaves
// out is not in force.
HttpReply ChangeReply(unsigned status, nlohmann::json json, const Applied& applied, bool in_force);
// A reply that shows the intent of `view`: with its revision as ETag.
HttpReply IntentReply(const nlohmann::json& json, const Intent& view);

}  // namespace fairlead
