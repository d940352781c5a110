#include "controlplane/store/store.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <random>

#include <sys/stat.h>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

// Columns are joined with their lengths, so that no two different rows give the same text.
class RowDigest {
 public:
  RowDigest& Add(std::string_view text) {
    text_.append(std::to_string(text.size())).append(":").append(text);
    return *this;
  }
  RowDigest& Add(int64_t number) { return Add(std::to_string(number)); }
  int64_t value() const { return static_cast<int64_t>(XXH3_64bits(text_.data(), text_.size())); }

 private:
  std::string text_;
};

int64_t ServiceDigest(const std::string& name, int64_t id, const std::string& spec) {
  return RowDigest().Add("service").Add(name).Add(id).Add(spec).value();
}

int64_t BackendDigest(int64_t id, const std::string& service, const std::string& endpoint,
                      const std::string& spec) {
  return RowDigest().Add("backend").Add(id).Add(service).Add(endpoint).Add(spec).value();
}

int64_t DrainDigest(int64_t id, const DrainRecord& drain) {
  return RowDigest()
      .Add("drain")
      .Add(id)
      .Add(drain.started_ms)
      .Add(drain.deadline_ms)
      .Add(drain.finished_ms)
      .Add(drain.reason)
      .value();
}

int64_t HealthDigest(int64_t id, int64_t state, int64_t since_ms, const std::string& reason) {
  return RowDigest().Add("health").Add(id).Add(state).Add(since_ms).Add(reason).value();
}

Status Damaged(const std::string& what) {
  return DataLoss("the store is damaged: " + what +
                  "; restore it from a backup, or move it away and start with --services");
}

constexpr const char* kSchema = R"(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE services (name TEXT PRIMARY KEY, id INTEGER NOT NULL UNIQUE, spec TEXT NOT NULL,
                       checksum INTEGER NOT NULL);
CREATE TABLE backends (id INTEGER PRIMARY KEY, service TEXT NOT NULL, endpoint TEXT NOT NULL,
                       spec TEXT NOT NULL, checksum INTEGER NOT NULL, UNIQUE (service, endpoint));
CREATE TABLE drains (backend_id INTEGER PRIMARY KEY, started_ms INTEGER NOT NULL,
                     deadline_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL,
                     reason TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE health (backend_id INTEGER PRIMARY KEY, state INTEGER NOT NULL,
                     since_ms INTEGER NOT NULL, reason TEXT NOT NULL, checksum INTEGER NOT NULL);
)";

constexpr const char* kCountedTables[] = {"services", "backends", "drains", "health"};

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

std::map<int64_t, StoredBackend*> BackendsById(StoredState* state) {
  std::map<int64_t, StoredBackend*> index;
  for (StoredService& service : state->services) {
    for (StoredBackend& backend : service.backends) index[backend.id] = &backend;
  }
  return index;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  const mode_t old_mask = ::umask(0027);
  Result<SqliteDatabase> database = SqliteDatabase::Open(path);
  Status status = database.status();
  std::unique_ptr<Store> store;
  if (database.ok()) {
    store.reset(new Store(*std::move(database)));
    status = store->Prepare();
  }
  ::umask(old_mask);
  if (!status.ok()) return Status(status.code(), path + ": " + status.message());
  return store;
}

Status Store::Prepare() {
  // Exclusive: a second fairleadd on the same store is refused, and no shared-memory file is needed.
  RETURN_IF_ERROR(database_.Execute("PRAGMA locking_mode=EXCLUSIVE"));
  RETURN_IF_ERROR(CheckVersion());
  ASSIGN_OR_RETURN(const std::string mode, database_.QueryText("PRAGMA journal_mode=WAL"));
  if (mode != "wal") return Unavailable("write-ahead logging is not possible here (" + mode + ")");
  RETURN_IF_ERROR(database_.Execute("PRAGMA synchronous=FULL"));
  ASSIGN_OR_RETURN(const std::string verdict, database_.QueryText("PRAGMA integrity_check(1)"));
  if (verdict != "ok") return Damaged(verdict);
  ASSIGN_OR_RETURN(const int64_t version, database_.QueryInteger("PRAGMA user_version"));
  if (version == 0) return CreateSchema();
  return {};
}

Status Store::CheckVersion() {
  ASSIGN_OR_RETURN(const int64_t version, database_.QueryInteger("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const int64_t application, database_.QueryInteger("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const int64_t tables,
                   database_.QueryInteger("SELECT count(*) FROM sqlite_schema"));
  if (version == 0 && application == 0 && tables == 0) return {};  // new
  if (application != kStoreApplicationId) {
    return FailedPrecondition("is a SQLite file, but not a Fairlead store");
  }
  if (version > kStoreSchemaVersion) {
    return FailedPrecondition("the store has schema version " + std::to_string(version) +
                              ", this fairleadd knows up to " +
                              std::to_string(kStoreSchemaVersion) +
                              "; start the newer fairleadd that wrote it");
  }
  if (version < 1) return Damaged("schema version " + std::to_string(version));
  return {};
}

Status Store::CreateSchema() {
  ASSIGN_OR_RETURN(Transaction transaction, Begin());
  RETURN_IF_ERROR(database_.Execute(kSchema));
  const std::string pragmas = "PRAGMA application_id=" + std::to_string(kStoreApplicationId) +
                              ";PRAGMA user_version=" + std::to_string(kStoreSchemaVersion);
  RETURN_IF_ERROR(database_.Execute(pragmas.c_str()));
  RETURN_IF_ERROR(transaction.SetGeneration(0));
  RETURN_IF_ERROR(transaction.SetIntentGeneration(0));
  RETURN_IF_ERROR(transaction.SetHashSeed(RandomSeed()));
  return transaction.Commit();
}

Status Store::SetMeta(const char* key, uint64_t value) {
  const std::string text = std::to_string(value);
  const int64_t digest = RowDigest().Add("meta").Add(key).Add(text).value();
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database_.Prepare("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)"));
  return statement.Bind(key).Bind(text).Bind(digest).Run();
}

Result<uint64_t> Store::GetMeta(const char* key) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database_.Prepare("SELECT value, checksum FROM meta WHERE key = ?"));
  statement.Bind(key);
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return Damaged(std::string("meta has no ") + key);
  const std::string text = statement.Text(0);
  if (statement.Integer(1) != RowDigest().Add("meta").Add(key).Add(text).value()) {
    return Damaged(std::string("checksum of meta ") + key);
  }
  return std::strtoull(text.c_str(), nullptr, 10);
}

Status Store::CheckCount(const char* table) {
  ASSIGN_OR_RETURN(const int64_t count,
                   database_.QueryInteger(("SELECT count(*) FROM " + std::string(table)).c_str()));
  ASSIGN_OR_RETURN(const uint64_t expected, GetMeta((std::string(table) + "_count").c_str()));
  if (static_cast<uint64_t>(count) == expected) return {};
  return Damaged(std::string(table) + " has " + std::to_string(count) + " rows, not " +
                 std::to_string(expected));
}

Status Store::UpdateCounts() {
  for (const char* table : kCountedTables) {
    ASSIGN_OR_RETURN(
        const int64_t count,
        database_.QueryInteger(("SELECT count(*) FROM " + std::string(table)).c_str()));
    RETURN_IF_ERROR(SetMeta((std::string(table) + "_count").c_str(), static_cast<uint64_t>(count)));
  }
  return {};
}

Result<StoredState> Store::Load() {
  for (const char* table : kCountedTables) RETURN_IF_ERROR(CheckCount(table));
  StoredState state;
  ASSIGN_OR_RETURN(state.generation, GetMeta("generation"));
  ASSIGN_OR_RETURN(state.intent_generation, GetMeta("intent_generation"));
  ASSIGN_OR_RETURN(state.hash_seed, GetMeta("hash_seed"));
  RETURN_IF_ERROR(LoadServices(&state));
  RETURN_IF_ERROR(LoadBackends(&state));
  RETURN_IF_ERROR(LoadDrains(&state));
  RETURN_IF_ERROR(LoadHealth(&state));
  return state;
}

Status Store::LoadServices(StoredState* state) {
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_.Prepare("SELECT name, id, spec, checksum FROM services ORDER BY name"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    const std::string name = rows.Text(0);
    const std::string spec = rows.Text(2);
    if (rows.Integer(3) != ServiceDigest(name, rows.Integer(1), spec)) {
      return Damaged("checksum of service " + name);
    }
    ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(spec));
    Result<ServiceSpec> parsed = ServiceFromJson(json);
    if (!parsed.ok()) return Damaged("service " + name + ": " + parsed.status().message());
    state->services.push_back({static_cast<uint32_t>(rows.Integer(1)), *std::move(parsed), {}});
  }
}

Status Store::LoadBackends(StoredState* state) {
  ASSIGN_OR_RETURN(SqliteStatement rows,
                   database_.Prepare("SELECT id, service, endpoint, spec, checksum FROM backends"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    const std::string service = rows.Text(1);
    const std::string endpoint = rows.Text(2);
    const std::string spec = rows.Text(3);
    if (rows.Integer(4) != BackendDigest(rows.Integer(0), service, endpoint, spec)) {
      return Damaged("checksum of backend " + endpoint + " of service " + service);
    }
    ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(spec));
    Result<BackendSpec> parsed = BackendFromJson(json);
    if (!parsed.ok()) return Damaged("backend " + endpoint + ": " + parsed.status().message());
    const auto owner = std::ranges::find_if(
        state->services, [&](const StoredService& each) { return each.spec.name == service; });
    if (owner == state->services.end()) return Damaged("backend of unknown service " + service);
    owner->backends.push_back(
        {static_cast<uint32_t>(rows.Integer(0)), *std::move(parsed), std::nullopt, std::nullopt});
  }
  for (StoredService& service : state->services) {
    std::ranges::sort(service.backends, {},
                      [](const StoredBackend& backend) { return backend.spec.endpoint; });
  }
  return {};
}

Status Store::LoadDrains(StoredState* state) {
  const std::map<int64_t, StoredBackend*> backends = BackendsById(state);
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_.Prepare(
          "SELECT backend_id, started_ms, deadline_ms, finished_ms, reason, checksum FROM drains"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    const DrainRecord drain{rows.Integer(1), rows.Integer(2), rows.Integer(3), rows.Text(4)};
    const std::string id = std::to_string(rows.Integer(0));
    if (rows.Integer(5) != DrainDigest(rows.Integer(0), drain)) {
      return Damaged("checksum of the drain of backend " + id);
    }
    const auto backend = backends.find(rows.Integer(0));
    if (backend == backends.end()) return Damaged("drain of unknown backend " + id);
    backend->second->drain = drain;
  }
}

Status Store::LoadHealth(StoredState* state) {
  const std::map<int64_t, StoredBackend*> backends = BackendsById(state);
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_.Prepare("SELECT backend_id, state, since_ms, reason, checksum FROM health"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    const int64_t value = rows.Integer(1);
    const std::string id = std::to_string(rows.Integer(0));
    if (value < 0 || value > static_cast<int64_t>(HealthState::kUnhealthy) ||
        rows.Integer(4) != HealthDigest(rows.Integer(0), value, rows.Integer(2), rows.Text(3))) {
      return Damaged("checksum of the health of backend " + id);
    }
    const auto backend = backends.find(rows.Integer(0));
    if (backend == backends.end()) return Damaged("health of unknown backend " + id);
    backend->second->health =
        Health{static_cast<HealthState>(value), rows.Integer(2), rows.Text(3)};
  }
}

Result<Store::Transaction> Store::Begin() {
  RETURN_IF_ERROR(database_.Execute("BEGIN IMMEDIATE"));
  return Transaction(this);
}

Store::Transaction::~Transaction() {
  // Nothing can be done about a rollback that fails; the next BEGIN will say so.
  if (store_ != nullptr) (void)database().Execute("ROLLBACK");
}

Status Store::Transaction::PutService(uint32_t id, const ServiceSpec& spec) {
  nlohmann::json json = ServiceToJson(spec);
  json.erase("backends");
  const std::string text = json.dump();
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database().Prepare("INSERT OR REPLACE INTO services VALUES (?, ?, ?, ?)"));
  return statement.Bind(spec.name)
      .Bind(int64_t{id})
      .Bind(text)
      .Bind(ServiceDigest(spec.name, id, text))
      .Run();
}

Status Store::Transaction::DeleteService(const std::string& name) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database().Prepare("DELETE FROM services WHERE name = ?"));
  return statement.Bind(name).Run();
}

Status Store::Transaction::PutBackend(uint32_t id, const std::string& service,
                                      const BackendSpec& spec) {
  const std::string endpoint = spec.endpoint.ToString();
  const std::string text = BackendToJson(spec).dump();
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database().Prepare("INSERT OR REPLACE INTO backends VALUES (?, ?, ?, ?, ?)"));
  return statement.Bind(int64_t{id})
      .Bind(service)
      .Bind(endpoint)
      .Bind(text)
      .Bind(BackendDigest(id, service, endpoint, text))
      .Run();
}

Status Store::Transaction::DeleteBackend(uint32_t id) {
  for (const char* sql :
       {"DELETE FROM backends WHERE id = ?", "DELETE FROM drains WHERE backend_id = ?",
        "DELETE FROM health WHERE backend_id = ?"}) {
    ASSIGN_OR_RETURN(SqliteStatement statement, database().Prepare(sql));
    RETURN_IF_ERROR(statement.Bind(int64_t{id}).Run());
  }
  return {};
}

Status Store::Transaction::PutHealth(uint32_t backend_id, const Health& health) {
  const auto state = static_cast<int64_t>(health.state);
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database().Prepare("INSERT OR REPLACE INTO health VALUES (?, ?, ?, ?, ?)"));
  return statement.Bind(int64_t{backend_id})
      .Bind(state)
      .Bind(health.since_ms)
      .Bind(health.reason)
      .Bind(HealthDigest(backend_id, state, health.since_ms, health.reason))
      .Run();
}

Status Store::Transaction::PutDrain(uint32_t backend_id, const DrainRecord& drain) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database().Prepare("INSERT OR REPLACE INTO drains VALUES (?, ?, ?, ?, ?, ?)"));
  return statement.Bind(int64_t{backend_id})
      .Bind(drain.started_ms)
      .Bind(drain.deadline_ms)
      .Bind(drain.finished_ms)
      .Bind(drain.reason)
      .Bind(DrainDigest(backend_id, drain))
      .Run();
}

Status Store::Transaction::DeleteDrain(uint32_t backend_id) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database().Prepare("DELETE FROM drains WHERE backend_id = ?"));
  return statement.Bind(int64_t{backend_id}).Run();
}

Status Store::Transaction::SetGeneration(uint64_t generation) {
  return store_->SetMeta("generation", generation);
}

Status Store::Transaction::SetIntentGeneration(uint64_t generation) {
  return store_->SetMeta("intent_generation", generation);
}

Status Store::Transaction::SetHashSeed(uint64_t seed) { return store_->SetMeta("hash_seed", seed); }

Status Store::Transaction::Commit() {
  RETURN_IF_ERROR(store_->UpdateCounts());
  RETURN_IF_ERROR(database().Execute("COMMIT"));
  store_ = nullptr;
  return {};
}

}  // namespace fairlead
