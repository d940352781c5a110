// Services and their backends. They are one resource, because a backend cannot exist without its
// service. The routes are in service_routes.cc and backend_routes.cc, the rules in core/rules.h and
// lib/intent/.
#include <algorithm>
#include <map>
#include <memory>

#include <nlohmann/json.hpp>

#include "controlplane/core/row_digest.h"
#include "controlplane/core/rules.h"
#include "controlplane/core/store.h"
#include "controlplane/core/store_rows.h"
#include "controlplane/resources/resources.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

constexpr StoreTable kServiceTables[] = {
    {"services", R"(
CREATE TABLE services (name TEXT PRIMARY KEY, id INTEGER NOT NULL UNIQUE, spec TEXT NOT NULL,
                       checksum INTEGER NOT NULL);
)"},
    {"backends", R"(
CREATE TABLE backends (id INTEGER PRIMARY KEY, service TEXT NOT NULL, endpoint TEXT NOT NULL,
                       spec TEXT NOT NULL, owner TEXT NOT NULL, checksum INTEGER NOT NULL,
                       UNIQUE (service, endpoint));
)"},
};

int64_t ServiceDigest(const std::string& name, int64_t id, const std::string& spec) {
  return RowDigest("service").Add(name).Add(id).Add(spec).value();
}

int64_t BackendDigest(int64_t id, const std::string& service, const std::string& endpoint,
                      const std::string& spec, const std::string& owner) {
  return RowDigest("backend").Add(id).Add(service).Add(endpoint).Add(spec).Add(owner).value();
}

}  // namespace

Status PutServiceRow(SqliteDatabase* database, uint32_t id, const ServiceSpec& settings) {
  nlohmann::json json = ServiceToJson(settings);
  json.erase("backends");
  const std::string text = json.dump();
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("INSERT OR REPLACE INTO services VALUES (?, ?, ?, ?)"));
  return statement.Bind(settings.name)
      .Bind(int64_t{id})
      .Bind(text)
      .Bind(ServiceDigest(settings.name, id, text))
      .Run();
}

Status PutBackendRow(SqliteDatabase* database, const std::string& service,
                     const BackendIntent& backend) {
  const std::string endpoint = backend.spec.endpoint.ToString();
  const std::string text = BackendToJson(backend.spec).dump();
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("INSERT OR REPLACE INTO backends VALUES (?, ?, ?, ?, ?, ?)"));
  return statement.Bind(int64_t{backend.id})
      .Bind(service)
      .Bind(endpoint)
      .Bind(text)
      .Bind(backend.owner)
      .Bind(BackendDigest(backend.id, service, endpoint, text, backend.owner))
      .Run();
}

Status DeleteServiceRow(SqliteDatabase* database, const std::string& name) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("DELETE FROM services WHERE name = ?"));
  return statement.Bind(name).Run();
}

Status DeleteBackendRow(SqliteDatabase* database, uint32_t id) {
  for (const char* sql :
       {"DELETE FROM backends WHERE id = ?", "DELETE FROM status WHERE backend_id = ?"}) {
    ASSIGN_OR_RETURN(SqliteStatement statement, database->Prepare(sql));
    RETURN_IF_ERROR(statement.Bind(int64_t{id}).Run());
  }
  return {};
}

namespace {

// Deletes first: a new backend may have the endpoint of a removed one in the same change.
Status SaveBackends(SqliteDatabase* database, const ServiceIntent* before,
                    const ServiceIntent* after) {
  const std::vector<BackendDifference> differences = CompareBackends(before, after);
  for (const BackendDifference& each : differences) {
    if (each.is_gone()) RETURN_IF_ERROR(DeleteBackendRow(database, each.before->id));
  }
  for (const BackendDifference& each : differences) {
    if (each.after == nullptr) continue;
    if (each.is_new() || each.before->spec != each.after->spec ||
        each.before->owner != each.after->owner) {
      RETURN_IF_ERROR(PutBackendRow(database, after->name(), *each.after));
    }
  }
  return {};
}

Status SaveServices(SqliteDatabase* database, const IntentChange& change) {
  for (const IntentDifference::Service& service : change.services) {
    if (service.after == nullptr) {
      RETURN_IF_ERROR(DeleteServiceRow(database, service.before->name()));
    } else if (service.before == nullptr || service.before->settings != service.after->settings) {
      RETURN_IF_ERROR(PutServiceRow(database, service.after->id, service.after->settings));
    }
    RETURN_IF_ERROR(SaveBackends(database, service.before, service.after));
  }
  return {};
}

using Services = std::map<std::string, std::shared_ptr<ServiceIntent>>;

Result<Services> LoadServices(SqliteDatabase* database) {
  Services services;
  ASSIGN_OR_RETURN(SqliteStatement rows,
                   database->Prepare("SELECT name, id, spec, checksum FROM services"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return services;
    const std::string name = rows.Text(0);
    const std::string spec = rows.Text(2);
    if (rows.Integer(3) != ServiceDigest(name, rows.Integer(1), spec)) {
      return DamagedStore("checksum of service " + name + " does not match");
    }
    ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(spec));
    Result<ServiceSpec> parsed = ServiceFromJson(json);
    if (!parsed.ok()) return DamagedStore("service " + name + ": " + parsed.status().message());
    auto service = std::make_shared<ServiceIntent>();
    service->id = static_cast<uint32_t>(rows.Integer(1));
    service->settings = *std::move(parsed);
    services[name] = std::move(service);
  }
}

Status LoadBackends(SqliteDatabase* database, uint64_t revision, const Services& services) {
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database->Prepare("SELECT id, service, endpoint, spec, owner, checksum FROM backends"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    const std::string name = rows.Text(1);
    const std::string endpoint = rows.Text(2);
    const std::string spec = rows.Text(3);
    const std::string owner = rows.Text(4);
    if (rows.Integer(5) != BackendDigest(rows.Integer(0), name, endpoint, spec, owner)) {
      return DamagedStore("checksum of backend " + endpoint + " of service " + name +
                          " does not match");
    }
    ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(spec));
    Result<BackendSpec> parsed = BackendFromJson(json);
    if (!parsed.ok()) return DamagedStore("backend " + endpoint + ": " + parsed.status().message());
    const auto service = services.find(name);
    if (service == services.end()) return DamagedStore("backend of unknown service " + name);
    auto backend = std::make_shared<BackendIntent>();
    backend->id = static_cast<uint32_t>(rows.Integer(0));
    backend->spec = *std::move(parsed);
    backend->owner = owner;
    backend->revision = revision;
    service->second->backends.push_back(std::move(backend));
  }
}

Status LoadServices(SqliteDatabase* database, Intent* intent) {
  ASSIGN_OR_RETURN(const Services services, LoadServices(database));
  RETURN_IF_ERROR(LoadBackends(database, intent->revision, services));
  for (const auto& [name, service] : services) {
    std::ranges::sort(service->backends, {}, [](const auto& backend) -> const Endpoint& {
      return backend->spec.endpoint;
    });
    intent->services.push_back(service);
  }
  return {};
}

Json Settings(const ServiceIntent* service) {
  if (service == nullptr) return nullptr;
  Json json = ServiceToJson(service->settings);
  json.erase("backends");
  return json;
}

Json Backend(const BackendIntent* backend) {
  if (backend == nullptr) return nullptr;
  Json json = BackendToJson(backend->spec);
  if (!backend->owner.empty()) json["owner"] = backend->owner;
  if (backend->drain.has_value()) {
    json["drain"] = {{"started_ms", backend->drain->started_ms},
                     {"deadline_ms", backend->drain->deadline_ms}};
  }
  return json;
}

void DescribeService(const IntentDifference::Service& service, Json* changes) {
  const std::string& name = (service.after != nullptr ? service.after : service.before)->name();
  const bool settings_differ = service.before == nullptr || service.after == nullptr ||
                               service.before->settings != service.after->settings;
  if (settings_differ) {
    changes->push_back({{"service", name},
                        {"before", Settings(service.before)},
                        {"after", Settings(service.after)}});
  }
  for (const BackendDifference& backend : CompareBackends(service.before, service.after)) {
    const BackendIntent& known = backend.after != nullptr ? *backend.after : *backend.before;
    changes->push_back({{"service", name},
                        {"backend", known.spec.endpoint.ToString()},
                        {"before", Backend(backend.before)},
                        {"after", Backend(backend.after)}});
  }
}

void DescribeServices(const IntentChange& change, Json* changes) {
  for (const IntentDifference::Service& service : change.services) {
    DescribeService(service, changes);
  }
}

Status Validate(RuleBook* rules, const IntentView& before, const IntentView& after) {
  return rules->Validate(before, after);
}

Status ValidateStored(RuleBook* rules, const IntentView& stored) { return rules->Load(stored); }

void AddAllRoutes(Api* api, Router* router) {
  AddServiceRoutes(api, router);
  AddBackendRoutes(api, router);
}

}  // namespace

constinit const Resource kServicesResource = {.name = "services",
                                              .tables = kServiceTables,
                                              .save = SaveServices,
                                              .load = LoadServices,
                                              .describe = DescribeServices,
                                              .validate = Validate,
                                              .validate_stored = ValidateStored,
                                              .add_routes = AddAllRoutes};

}  // namespace fairlead
