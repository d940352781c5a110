#include "controlplane/core/store_migration.h"

#include <algorithm>
#include <map>
#include <memory>

#include "controlplane/core/row_digest.h"
#include "controlplane/core/store_rows.h"
#include "lib/host/own_files.h"
#include "lib/intent/checks/checked_frontends.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

constexpr const char* kOldTables[] = {"services", "backends", "drains", "health"};

// Reads a store of schema 1 or 2. They detect missing rows differently: schema 1 counts the rows,
// schema 2 has the sum of their checksums.
class OldStore {
 public:
  OldStore(SqliteDatabase* database, int64_t version) : database_(database), version_(version) {}

  Result<StoredState> Read() {
    RETURN_IF_ERROR(version_ == 1 ? CheckCounts() : CheckDigest());
    ASSIGN_OR_RETURN(state_.generation, LoadMeta(database_, "generation"));
    ASSIGN_OR_RETURN(state_.intent.revision, LoadMeta(database_, "intent_generation"));
    ASSIGN_OR_RETURN(state_.intent.hash_seed, LoadMeta(database_, "hash_seed"));
    RETURN_IF_ERROR(ReadServices());
    RETURN_IF_ERROR(ReadBackends());
    RETURN_IF_ERROR(ReadDrains());
    RETURN_IF_ERROR(ReadHealth());
    for (auto& [name, service] : services_) state_.intent.services.push_back(std::move(service));
    return std::move(state_);
  }

 private:
  Status CheckCounts();
  Status CheckDigest();
  Status ReadServices();
  Status ReadBackends();
  Status ReadDrains();
  Status ReadHealth();
  // Calls read() for each row of the query, whose last column is its checksum.
  template <typename Read>
  Status ForEachRow(const char* sql, Read read) {
    ASSIGN_OR_RETURN(SqliteStatement rows, database_->Prepare(sql));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) return {};
      RETURN_IF_ERROR(read(rows));
    }
  }
  Result<std::shared_ptr<BackendIntent>> Backend(int64_t id) {
    const auto found = backends_.find(id);
    if (found == backends_.end()) {
      return DamagedStore("drain or health of unknown backend " + std::to_string(id));
    }
    return found->second;
  }

  SqliteDatabase* database_;
  int64_t version_;
  StoredState state_;
  std::map<std::string, std::shared_ptr<ServiceIntent>> services_;
  std::map<int64_t, std::shared_ptr<BackendIntent>> backends_;
};

Status OldStore::CheckCounts() {
  for (const std::string table : kOldTables) {
    ASSIGN_OR_RETURN(const int64_t count,
                     database_->QueryInteger(("SELECT count(*) FROM " + table).c_str()));
    ASSIGN_OR_RETURN(const uint64_t expected, LoadMeta(database_, (table + "_count").c_str()));
    if (static_cast<uint64_t>(count) == expected) continue;
    return DamagedStore(table + " has " + std::to_string(count) + " rows, not " +
                        std::to_string(expected));
  }
  return {};
}

Status OldStore::CheckDigest() {
  uint64_t sum = 0;
  for (const std::string rows_of :
       {"meta WHERE key != 'digest'", "services", "backends", "drains", "health", "changes"}) {
    RETURN_IF_ERROR(
        ForEachRow(("SELECT checksum FROM " + rows_of).c_str(), [&](const SqliteStatement& row) {
          sum += static_cast<uint64_t>(row.Integer(0));
          return Status();
        }));
  }
  ASSIGN_OR_RETURN(const uint64_t digest, LoadMeta(database_, "digest"));
  if (digest == sum) return {};
  return DamagedStore(
      "the digest of all rows does not match: rows are missing, or come from an earlier state");
}

// These releases had direct checks only.
void KeepDirectChecks(ServiceSpec* service) {
  if (ChecksThroughDataplane(*service)) service->health_check.via = CheckVia::kDirect;
}

Status OldStore::ReadServices() {
  return ForEachRow("SELECT name, id, spec, checksum FROM services",
                    [&](const SqliteStatement& row) -> Status {
                      const std::string name = row.Text(0);
                      const std::string spec = row.Text(2);
                      if (row.Integer(3) !=
                          RowDigest("service").Add(name).Add(row.Integer(1)).Add(spec).value()) {
                        return DamagedStore("checksum of service " + name + " does not match");
                      }
                      ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(spec));
                      Result<ServiceSpec> parsed = ServiceFromJson(json);
                      if (!parsed.ok()) {
                        return DamagedStore("service " + name + ": " + parsed.status().message());
                      }
                      auto service = std::make_shared<ServiceIntent>();
                      service->id = static_cast<uint32_t>(row.Integer(1));
                      service->settings = *std::move(parsed);
                      KeepDirectChecks(&service->settings);
                      services_[name] = std::move(service);
                      return {};
                    });
}

Status OldStore::ReadBackends() {
  RETURN_IF_ERROR(ForEachRow(
      "SELECT id, service, endpoint, spec, checksum FROM backends",
      [&](const SqliteStatement& row) -> Status {
        const std::string name = row.Text(1);
        const std::string endpoint = row.Text(2);
        const std::string spec = row.Text(3);
        if (row.Integer(4) !=
            RowDigest("backend").Add(row.Integer(0)).Add(name).Add(endpoint).Add(spec).value()) {
          return DamagedStore("checksum of backend " + endpoint + " of service " + name +
                              " does not match");
        }
        ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(spec));
        Result<BackendSpec> parsed = BackendFromJson(json);
        if (!parsed.ok()) {
          return DamagedStore("backend " + endpoint + ": " + parsed.status().message());
        }
        const auto service = services_.find(name);
        if (service == services_.end()) return DamagedStore("backend of unknown service " + name);
        auto backend = std::make_shared<BackendIntent>();
        backend->id = static_cast<uint32_t>(row.Integer(0));
        backend->spec = *std::move(parsed);
        backend->revision = state_.intent.revision;
        service->second->backends.push_back(backend);
        backends_[row.Integer(0)] = std::move(backend);
        return {};
      }));
  for (const auto& [name, service] : services_) {
    std::ranges::sort(service->backends, {}, [](const auto& backend) -> const Endpoint& {
      return backend->spec.endpoint;
    });
  }
  return {};
}

// Schemas 1 and 2 stored the end of a drain as one of these texts.
DrainProgress EndOf(const std::string& reason, uint64_t revision, int64_t finished_ms) {
  DrainProgress progress;
  progress.drain_revision = revision;
  if (finished_ms == 0) return progress;
  progress.finished_ms = finished_ms;
  progress.flows_kept = reason.ends_with("; flows that remain are kept");
  progress.end = reason == "no flows remain"                  ? DrainEnd::kNoFlowsRemain
                 : reason.starts_with("the service keeps no") ? DrainEnd::kNoRecords
                                                              : DrainEnd::kDeadlinePassed;
  return progress;
}

Status OldStore::ReadDrains() {
  return ForEachRow(
      "SELECT backend_id, started_ms, deadline_ms, finished_ms, reason, checksum FROM drains",
      [&](const SqliteStatement& row) -> Status {
        const std::string id = std::to_string(row.Integer(0));
        if (row.Integer(5) != RowDigest("drain")
                                  .Add(row.Integer(0))
                                  .Add(row.Integer(1))
                                  .Add(row.Integer(2))
                                  .Add(row.Integer(3))
                                  .Add(row.Text(4))
                                  .value()) {
          return DamagedStore("checksum of the drain of backend " + id + " does not match");
        }
        ASSIGN_OR_RETURN(const std::shared_ptr<BackendIntent> backend, Backend(row.Integer(0)));
        const uint64_t revision = state_.intent.revision;
        backend->drain = DrainIntent{revision, row.Integer(1), row.Integer(2)};
        state_.status[backend->id].drain = EndOf(row.Text(4), revision, row.Integer(3));
        return {};
      });
}

Status OldStore::ReadHealth() {
  return ForEachRow(
      "SELECT backend_id, state, since_ms, reason, checksum FROM health",
      [&](const SqliteStatement& row) -> Status {
        const int64_t value = row.Integer(1);
        const std::string id = std::to_string(row.Integer(0));
        if (value < 0 || value > static_cast<int64_t>(HealthState::kUnhealthy) ||
            row.Integer(4) != RowDigest("health")
                                  .Add(row.Integer(0))
                                  .Add(value)
                                  .Add(row.Integer(2))
                                  .Add(row.Text(3))
                                  .value()) {
          return DamagedStore("checksum of the health of backend " + id + " does not match");
        }
        ASSIGN_OR_RETURN(const std::shared_ptr<BackendIntent> backend, Backend(row.Integer(0)));
        // The stored reason is text. The next check replaces it by numbers.
        Health& health = state_.status[backend->id].health;
        health.state = static_cast<HealthState>(value);
        health.since_ms = row.Integer(2);
        return {};
      });
}

// Keeps the last changes: the dataplane has one of them in force.
using Changes = std::map<int64_t, int64_t>;
Result<Changes> ReadChanges(SqliteDatabase* database) {
  Changes changes;
  KnownChanges checked;
  RETURN_IF_ERROR(LoadChanges(database, &checked).status());
  ASSIGN_OR_RETURN(SqliteStatement rows, database->Prepare("SELECT generation, id FROM changes"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return changes;
    changes[rows.Integer(0)] = rows.Integer(1);
  }
}

Status WriteTables(SqliteDatabase* database, ResourceList resources, const StoredState& state,
                   const Changes& changes) {
  for (const std::string table : {"meta", "services", "backends", "drains", "health", "changes"}) {
    RETURN_IF_ERROR(database->Execute(("DROP TABLE IF EXISTS " + table).c_str()));
  }
  for (const StoreTable& table : AllTables(resources)) {
    RETURN_IF_ERROR(database->Execute(table.sql));
  }
  for (const auto& service : state.intent.services) {
    RETURN_IF_ERROR(PutServiceRow(database, service->id, service->settings));
    for (const auto& backend : service->backends) {
      RETURN_IF_ERROR(PutBackendRow(database, service->name(), *backend));
      if (backend->drain.has_value()) {
        RETURN_IF_ERROR(PutDrainRow(database, backend->id, *backend->drain));
      }
    }
  }
  for (const auto& [id, status] : state.status) {
    RETURN_IF_ERROR(PutStatusRow(database, id, status));
  }
  for (const auto& [generation, id] : changes) {
    RETURN_IF_ERROR(
        PutChangeRow(database, static_cast<uint64_t>(generation), static_cast<uint64_t>(id)));
  }
  RETURN_IF_ERROR(PutMeta(database, "generation", state.generation));
  RETURN_IF_ERROR(PutMeta(database, "revision", state.intent.revision));
  return PutMeta(database, "hash_seed", state.intent.hash_seed);
}

}  // namespace

Status MigrateStore(Store* store, const std::string& path, int64_t version) {
  SqliteDatabase* database = &store->database_;
  ASSIGN_OR_RETURN(const StoredState state, OldStore(database, version).Read());
  Changes changes;
  if (version >= 2) {
    ASSIGN_OR_RETURN(changes, ReadChanges(database));
  }
  ASSIGN_OR_RETURN(const std::string bytes, database->Backup());
  RETURN_IF_ERROR(ReplaceOwnFile(path + ".schema-" + std::to_string(version), bytes, 0640));
  RETURN_IF_ERROR(database->Execute("BEGIN IMMEDIATE"));
  const Status migrated = [&]() -> Status {
    RETURN_IF_ERROR(WriteTables(database, store->resources_, state, changes));
    ASSIGN_OR_RETURN(const uint64_t digest, store->SumChecksums());
    RETURN_IF_ERROR(store->SetMeta("digest", digest));
    RETURN_IF_ERROR(
        database->Execute(("PRAGMA user_version=" + std::to_string(kStoreSchemaVersion)).c_str()));
    return database->Execute("COMMIT");
  }();
  if (!migrated.ok()) (void)database->Execute("ROLLBACK");
  return migrated;
}

}  // namespace fairlead
