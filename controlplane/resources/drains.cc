// Drains: the requests to drain a backend, /v1/services/NAME/backends/ENDPOINT/drain. A drain is a
// member of its backend's intent, so it is part of the backend's history.
#include <algorithm>
#include <map>
#include <memory>

#include "controlplane/core/row_digest.h"
#include "controlplane/core/store.h"
#include "controlplane/core/store_rows.h"
#include "controlplane/http/api.h"
#include "controlplane/http/views.h"
#include "controlplane/resources/resources.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

constexpr StoreTable kDrainTables[] = {{"drains", R"(
CREATE TABLE drains (backend_id INTEGER PRIMARY KEY, revision INTEGER NOT NULL,
                     started_ms INTEGER NOT NULL, deadline_ms INTEGER NOT NULL,
                     checksum INTEGER NOT NULL);
)"}};

int64_t DrainDigest(int64_t backend_id, const DrainIntent& drain) {
  return RowDigest("drain")
      .Add(backend_id)
      .Add(static_cast<int64_t>(drain.revision))
      .Add(drain.started_ms)
      .Add(drain.deadline_ms)
      .value();
}

}  // namespace

Status PutDrainRow(SqliteDatabase* database, uint32_t backend_id, const DrainIntent& drain) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("INSERT OR REPLACE INTO drains VALUES (?, ?, ?, ?, ?)"));
  return statement.Bind(int64_t{backend_id})
      .Bind(static_cast<int64_t>(drain.revision))
      .Bind(drain.started_ms)
      .Bind(drain.deadline_ms)
      .Bind(DrainDigest(backend_id, drain))
      .Run();
}

Status DeleteDrainRow(SqliteDatabase* database, uint32_t backend_id) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("DELETE FROM drains WHERE backend_id = ?"));
  return statement.Bind(int64_t{backend_id}).Run();
}

namespace {

Status SaveDrain(SqliteDatabase* database, const BackendDifference& backend) {
  const bool had_one = backend.before != nullptr && backend.before->drain.has_value();
  if (backend.is_gone() && had_one) {
    RETURN_IF_ERROR(DeleteDrainRow(database, backend.before->id));
  }
  if (backend.after == nullptr) return {};
  const std::optional<DrainIntent>& drain = backend.after->drain;
  if (drain == (backend.is_new() ? std::nullopt : backend.before->drain)) return {};
  return drain.has_value() ? PutDrainRow(database, backend.after->id, *drain)
                           : DeleteDrainRow(database, backend.after->id);
}

Status SaveDrains(SqliteDatabase* database, const IntentChange& change) {
  for (const IntentDifference::Service& service : change.services) {
    for (const BackendDifference& backend : CompareBackends(service.before, service.after)) {
      RETURN_IF_ERROR(SaveDrain(database, backend));
    }
  }
  return {};
}

using DrainsById = std::map<int64_t, DrainIntent>;

Result<DrainsById> LoadRows(SqliteDatabase* database) {
  DrainsById drains;
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database->Prepare(
          "SELECT backend_id, revision, started_ms, deadline_ms, checksum FROM drains"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return drains;
    const DrainIntent drain{static_cast<uint64_t>(rows.Integer(1)), rows.Integer(2),
                            rows.Integer(3)};
    const std::string id = std::to_string(rows.Integer(0));
    if (rows.Integer(4) != DrainDigest(rows.Integer(0), drain)) {
      return DamagedStore("checksum of the drain of backend " + id + " does not match");
    }
    drains[rows.Integer(0)] = drain;
  }
}

// Moves the drains of the service's backends from `drains` into `service`.
void AttachDrains(DrainsById* drains, std::shared_ptr<const ServiceIntent>* service) {
  std::shared_ptr<ServiceIntent> changed;
  for (size_t i = 0; i < (*service)->backends.size() && !drains->empty(); ++i) {
    const auto drain = drains->find(int64_t{(*service)->backends[i]->id});
    if (drain == drains->end()) continue;
    if (changed == nullptr) changed = std::make_shared<ServiceIntent>(**service);
    auto backend = std::make_shared<BackendIntent>(*changed->backends[i]);
    backend->drain = drain->second;
    changed->backends[i] = std::move(backend);
    drains->erase(drain);
  }
  if (changed != nullptr) *service = std::move(changed);
}

Status LoadDrains(SqliteDatabase* database, Intent* intent) {
  ASSIGN_OR_RETURN(DrainsById drains, LoadRows(database));
  for (auto& service : intent->services) AttachDrains(&drains, &service);
  if (drains.empty()) return {};
  return DamagedStore("drain of unknown backend " + std::to_string(drains.begin()->first));
}

// An empty body sets no field.
Result<DrainRequest> ParseDrain(const std::string& body) {
  if (body.find_first_not_of(" \t\r\n") == std::string::npos) return DrainRequest();
  ASSIGN_OR_RETURN(const Json json, ParseJson(body));
  return DrainFromJson(json);
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

// Whether the drain is finished. A finished drain is not changed by a further request.
bool IsOver(const Api& api, const BackendIntent& backend) {
  const DrainProgress& progress = StatusOf(api, backend).drain;
  return backend.drain.has_value() && progress.finished() &&
         progress.drain_revision == backend.drain->revision;
}

asio::awaitable<HttpReply> StartDrain(Api* api, const HttpRequest& request) {
  const Result<BackendInView> found = FindRequestBackend(*api, request);
  if (!found.ok()) co_return ErrorReply(found.status());
  Result<DrainRequest> drain = ParseDrain(request.body);
  if (!drain.ok()) co_return ErrorReply(drain.status());
  if (IsOver(*api, *found->backend)) *drain = DrainRequest();
  const std::string service = found->service->name();
  const Result<Committed> applied = co_await ApplyChange(
      api, request, DrainBackend(service, found->backend->spec.endpoint, drain->timeout_ms));
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
  const Result<Committed> applied =
      co_await ApplyChange(api, request, UndrainBackend(service, found->backend->spec.endpoint));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  const Result<BackendInView> present = FindBackendById(*api, service, found->backend->id);
  if (!present.ok()) co_return ErrorReply(present.status());
  Json view = BackendView(*api, *present->service, *present->backend);
  co_return ChangeReply(200, std::move(view), *applied, in_force);
}

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

}  // namespace

constinit const Resource kDrainsResource = {.name = "drains",
                                            .tables = kDrainTables,
                                            .save = SaveDrains,
                                            .load = LoadDrains,
                                            .add_routes = AddDrainRoutes};

}  // namespace fairlead
