#include "controlplane/core/store.h"

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include <sys/stat.h>

#include "lib/host/own_files.h"
#include "lib/intent/json.h"
#include "lib/snapshot/format.h"

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

int64_t ChangeDigest(int64_t generation, int64_t id) {
  return RowDigest().Add("change").Add(generation).Add(id).value();
}

Status Damaged(const std::string& what) {
  return DataLoss("the store is damaged: " + what +
                  "; restore it from a backup (fairctl store backup makes them), or move it and "
                  "the files named after it away and start with --services");
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
constexpr const char* kChangesTable =
    "CREATE TABLE changes (generation INTEGER PRIMARY KEY, id INTEGER NOT NULL, "
    "checksum INTEGER NOT NULL)";

constexpr const char* kCountedTables[] = {"services", "backends", "drains", "health"};
// All rows but meta's own digest.
constexpr const char* kSummed[] = {
    "meta WHERE key != 'digest'", "services", "backends", "drains", "health", "changes"};
constexpr const char* kTables[] = {"meta", "services", "backends", "drains", "health", "changes"};
constexpr uint64_t kChangesKept = 10'000;

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

// What the file beside the store holds. Not forced to the disk: it is behind the store after a power
// loss, never ahead of it.
struct Store::Acknowledged {
  uint64_t magic = 0x314b434144524c46;  // "FLRDACK1"
  uint64_t generation = 0;
  uint64_t change_id = 0;
  uint64_t checksum = 0;

  uint64_t Checksum() const { return XXH3_64bits(this, offsetof(Acknowledged, checksum)); }
  bool is_good() const { return magic == Acknowledged().magic && checksum == Checksum(); }
};

Status Store::CheckAcknowledged(const std::string& path, bool accept_older) {
  ASSIGN_OR_RETURN(acknowledged_, OpenOrCreateOwnFile(path + ".acknowledged", 0640));
  Acknowledged last;
  // A new or a damaged one tells nothing; the dataplane may.
  if (::pread(acknowledged_.get(), &last, sizeof(last), 0) != sizeof(last) || !last.is_good()) {
    return {};
  }
  ASSIGN_OR_RETURN(const bool known, KnowsChange(last.change_id, last.generation));
  if (known) return {};
  if (accept_older) {
    (void)::ftruncate(acknowledged_.get(), 0);
    return {};
  }
  return Damaged("the last change that was acknowledged (generation " +
                 std::to_string(last.generation) +
                 ") is not in it, so that it is older than it was; if that is wanted, start with "
                 "--accept-older-store");
}

void Store::Acknowledge(uint64_t generation, uint64_t id) {
  Acknowledged last;
  last.generation = generation;
  last.change_id = id;
  last.checksum = last.Checksum();
  // What cannot be written tells less, and is no reason to refuse what is committed.
  (void)!::pwrite(acknowledged_.get(), &last, sizeof(last), 0);
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& path, bool accept_older) {
  // SQLite opens whatever has the name, and waits at a FIFO.
  for (const char* suffix : {"", "-journal", "-wal", "-shm"}) {
    RETURN_IF_ERROR(CheckOwnFile(path + suffix));
  }
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    RETURN_IF_ERROR(Create(path));
  } else if (info.st_size == 0) {
    return DataLoss(path +
                    ": is empty, which no store ever is; restore it from a backup, or remove " +
                    "it and the files named after it to begin anew");
  }
  Result<SqliteDatabase> database = SqliteDatabase::Open(path);
  Status status = database.status();
  std::unique_ptr<Store> store;
  if (database.ok()) {
    store.reset(new Store(*std::move(database)));
    status = store->Prepare(path);
    if (status.ok()) status = store->CheckAcknowledged(path, accept_older);
  }
  if (!status.ok()) return Status(status.code(), path + ": " + status.message());
  return store;
}

// A new store gets its name when it is whole.
Status Store::Create(const std::string& path) {
  const std::string fresh = path + ".new";
  const std::string journal = fresh + "-journal";
  ::unlink(journal.c_str());
  {
    ASSIGN_OR_RETURN(const UniqueFd file, CreateOwnFile(fresh, 0640));
    ASSIGN_OR_RETURN(SqliteDatabase database, SqliteDatabase::Open(fresh));
    Store store(std::move(database));
    const Status made = store.CreateSchema();
    if (!made.ok() || ::fsync(file.get()) != 0) {
      ::unlink(fresh.c_str());
      return made.ok() ? Unavailable(fresh + ": " + std::strerror(errno)) : made;
    }
  }
  ::unlink(journal.c_str());
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    ::unlink(fresh.c_str());
    return Unavailable(path + ": " + why);
  }
  const std::string folder = std::filesystem::absolute(path).parent_path().string();
  const UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
  return {};
}

// SQLite reads what is missing of the last page as zeros.
Status Store::CheckLength(const std::string& path) {
  ASSIGN_OR_RETURN(const int64_t page_bytes, database_.QueryInteger("PRAGMA page_size"));
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return Unavailable(std::strerror(errno));
  if (page_bytes > 0 && info.st_size % page_bytes == 0) return {};
  return Damaged("it has " + std::to_string(info.st_size) + " bytes, no multiple of " +
                 std::to_string(page_bytes));
}

Status Store::Prepare(const std::string& path) {
  // Exclusive: a second fairleadd on the same store is refused, and no shared-memory file is needed.
  RETURN_IF_ERROR(database_.Execute("PRAGMA locking_mode=EXCLUSIVE"));
  RETURN_IF_ERROR(CheckVersion());
  ASSIGN_OR_RETURN(const std::string mode, database_.QueryText("PRAGMA journal_mode=WAL"));
  if (mode != "wal") return Unavailable("write-ahead logging is not possible here (" + mode + ")");
  RETURN_IF_ERROR(database_.Execute("PRAGMA synchronous=FULL"));
  ASSIGN_OR_RETURN(const std::string verdict, database_.QueryText("PRAGMA integrity_check(1)"));
  if (verdict != "ok") return Damaged(verdict);
  RETURN_IF_ERROR(CheckLength(path));
  ASSIGN_OR_RETURN(const int64_t version, database_.QueryInteger("PRAGMA user_version"));
  if (version == 1) return Migrate();
  return FollowChecksums();
}

Status Store::FollowChecksums() {
  RETURN_IF_ERROR(database_.AddAccumulator("fl_account", &delta_));
  // INSERT OR REPLACE tells of what it replaces.
  RETURN_IF_ERROR(database_.Execute("PRAGMA recursive_triggers=ON"));
  for (const std::string table : kTables) {
    const std::string when = table == "meta" ? " WHEN %.key != 'digest'" : "";
    const auto of = [&](const std::string& row) {
      std::string text = when;
      if (!text.empty()) text.replace(text.find('%'), 1, row);
      return text;
    };
    const std::string sql = "CREATE TEMP TRIGGER " + table + "_in AFTER INSERT ON main." + table +
                            of("NEW") + " BEGIN SELECT fl_account(NEW.checksum, 1); END;" +
                            "CREATE TEMP TRIGGER " + table + "_out AFTER DELETE ON main." + table +
                            of("OLD") + " BEGIN SELECT fl_account(OLD.checksum, -1); END";
    RETURN_IF_ERROR(database_.Execute(sql.c_str()));
  }
  ASSIGN_OR_RETURN(digest_, SumChecksums());
  return {};
}

Result<uint64_t> Store::SumChecksums() {
  uint64_t sum = 0;
  for (const char* rows_of : kSummed) {
    ASSIGN_OR_RETURN(SqliteStatement rows,
                     database_.Prepare(("SELECT checksum FROM " + std::string(rows_of)).c_str()));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      sum += static_cast<uint64_t>(rows.Integer(0));
    }
  }
  return sum;
}

// Version 1 counted its rows, which is checked a last time.
Status Store::Migrate() {
  for (const char* table : kCountedTables) RETURN_IF_ERROR(CheckCount(table));
  for (const char* sql : {"BEGIN IMMEDIATE", kChangesTable,
                          "DELETE FROM meta WHERE key LIKE '%_count'", "PRAGMA user_version=2"}) {
    RETURN_IF_ERROR(database_.Execute(sql));
  }
  ASSIGN_OR_RETURN(const uint64_t digest, SumChecksums());
  RETURN_IF_ERROR(SetMeta("digest", digest));
  RETURN_IF_ERROR(database_.Execute("COMMIT"));
  return FollowChecksums();
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
  RETURN_IF_ERROR(database_.Execute("PRAGMA synchronous=FULL"));
  const std::string pragmas = "PRAGMA application_id=" + std::to_string(kStoreApplicationId) +
                              ";PRAGMA user_version=" + std::to_string(kStoreSchemaVersion);
  // The file has no name yet that anybody looks at: two steps do no harm.
  for (const char* sql : {kSchema, kChangesTable, pragmas.c_str()}) {
    RETURN_IF_ERROR(database_.Execute(sql));
  }
  RETURN_IF_ERROR(FollowChecksums());
  ASSIGN_OR_RETURN(Transaction transaction, Begin());
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

Result<StoredState> Store::Load() {
  ASSIGN_OR_RETURN(const uint64_t digest, GetMeta("digest"));
  if (digest != digest_) {
    return Damaged(
        "the digest of all rows, which tells of some that are missing or of an earlier "
        "moment");
  }
  StoredState state;
  ASSIGN_OR_RETURN(state.generation, GetMeta("generation"));
  if (state.generation >= kMaxGeneration) {
    return Damaged("generation " + std::to_string(state.generation));
  }
  ASSIGN_OR_RETURN(state.intent_generation, GetMeta("intent_generation"));
  ASSIGN_OR_RETURN(state.hash_seed, GetMeta("hash_seed"));
  RETURN_IF_ERROR(LoadServices(&state));
  RETURN_IF_ERROR(LoadBackends(&state));
  RETURN_IF_ERROR(LoadDrains(&state));
  RETURN_IF_ERROR(LoadHealth(&state));
  RETURN_IF_ERROR(LoadChanges(&state));
  return state;
}

Status Store::LoadChanges(StoredState* state) {
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database_.Prepare("SELECT generation, id, checksum FROM changes ORDER BY generation"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    if (rows.Integer(2) != ChangeDigest(rows.Integer(0), rows.Integer(1))) {
      return Damaged("checksum of change " + std::to_string(rows.Integer(0)));
    }
    state->change_id = static_cast<uint64_t>(rows.Integer(1));
  }
}

Result<bool> Store::KnowsChange(uint64_t id, uint64_t generation) {
  ASSIGN_OR_RETURN(SqliteStatement found,
                   database_.Prepare("SELECT count(*) FROM changes WHERE id = ?"));
  found.Bind(static_cast<int64_t>(id));
  ASSIGN_OR_RETURN(const bool row, found.Step());
  if (row && found.Integer(0) != 0) return true;
  ASSIGN_OR_RETURN(const int64_t count, database_.QueryInteger("SELECT count(*) FROM changes"));
  if (static_cast<uint64_t>(count) < kChangesKept) return false;
  ASSIGN_OR_RETURN(const int64_t oldest,
                   database_.QueryInteger("SELECT min(generation) FROM changes"));
  return generation < static_cast<uint64_t>(oldest);
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

Status Store::Transaction::AddChange(uint64_t generation, uint64_t id) {
  const auto number = static_cast<int64_t>(generation);
  const auto value = static_cast<int64_t>(id);
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database().Prepare("INSERT OR REPLACE INTO changes VALUES (?, ?, ?)"));
  RETURN_IF_ERROR(statement.Bind(number).Bind(value).Bind(ChangeDigest(number, value)).Run());
  // One goes when one comes.
  ASSIGN_OR_RETURN(SqliteStatement oldest,
                   database().Prepare("DELETE FROM changes WHERE generation <= (SELECT generation "
                                      "FROM changes ORDER BY generation DESC LIMIT 1 OFFSET ?)"));
  RETURN_IF_ERROR(oldest.Bind(static_cast<int64_t>(kChangesKept)).Run());
  change_generation_ = generation;
  change_id_ = id;
  return {};
}

Status Store::Transaction::Commit() {
  const uint64_t digest = store_->digest_ + store_->delta_;
  RETURN_IF_ERROR(store_->SetMeta("digest", digest));
  RETURN_IF_ERROR(database().Execute("COMMIT"));
  store_->digest_ = digest;
  if (change_id_ != 0) store_->Acknowledge(change_generation_, change_id_);
  store_ = nullptr;
  return {};
}

}  // namespace fairlead
