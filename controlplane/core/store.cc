#include "controlplane/core/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include <sys/stat.h>

#include "controlplane/core/row_digest.h"
#include "controlplane/core/store_migration.h"
#include "controlplane/core/store_rows.h"
#include "lib/host/own_files.h"
#include "lib/snapshot/format.h"

namespace fairlead {
Status DamagedStore(const std::string& what) { return DataLoss("the store is damaged: " + what); }

Status Store::CheckAcknowledged(const std::string& path, bool accept_older) {
  RETURN_IF_ERROR(acknowledged_.Open(path + ".acknowledged"));
  const std::optional<AcknowledgedChange> last = acknowledged_.Read();
  if (!last.has_value()) return {};  // the dataplane's change is checked when it connects
  ASSIGN_OR_RETURN(const bool known, KnowsChange(last->change_id, last->generation));
  if (known) return {};
  if (accept_older) {
    acknowledged_.Clear();
    return {};
  }
  return DamagedStore("the last acknowledged change (generation " +
                      std::to_string(last->generation) +
                      ") is missing, so this is an older state of the store; to use it anyway, " +
                      kHowToAcceptOlderStore);
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& path, bool accept_older,
                                           ResourceList resources) {
  // SQLite opens any kind of file, and blocks on a FIFO.
  for (const char* suffix : {"", "-journal", "-wal", "-shm", ".acknowledged"}) {
    const Status own = CheckOwnFile(path + suffix);
    if (own.code() == ErrorCode::kFailedPrecondition) return InvalidArgument(own.message());
    RETURN_IF_ERROR(own);
  }
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) {
    RETURN_IF_ERROR(Create(path, resources));
  } else if (info.st_size == 0) {
    return DataLoss(path + ": is empty, so it is not a store");
  }
  Result<SqliteDatabase> database = SqliteDatabase::Open(path);
  Status status = database.status();
  std::unique_ptr<Store> store;
  if (database.ok()) {
    store.reset(new Store(*std::move(database), resources));
    status = store->Prepare(path);
    if (status.ok()) status = store->CheckAcknowledged(path, accept_older);
  }
  if (!status.ok()) return Status(status.code(), path + ": " + status.message());
  return store;
}

// Makes the store under a temporary name, and renames it when it is complete.
Status Store::Create(const std::string& path, ResourceList resources) {
  const std::string fresh = path + ".new";
  const std::string journal = fresh + "-journal";
  ::unlink(journal.c_str());
  {
    ASSIGN_OR_RETURN(const UniqueFd file, CreateOwnFile(fresh, 0640));
    ASSIGN_OR_RETURN(SqliteDatabase database, SqliteDatabase::Open(fresh));
    Store store(std::move(database), resources);
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

// SQLite does not notice a last page that is cut off: it reads the missing bytes as zeros.
Status Store::CheckLength(const std::string& path) {
  ASSIGN_OR_RETURN(const int64_t page_bytes, database_.QueryInteger("PRAGMA page_size"));
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return Unavailable(std::strerror(errno));
  if (page_bytes > 0 && info.st_size % page_bytes == 0) return {};
  return DamagedStore("its length, " + std::to_string(info.st_size) +
                      " bytes, is not a multiple of the page size, " + std::to_string(page_bytes));
}

Status Store::Prepare(const std::string& path) {
  // Exclusive: a second fairleadd on the same store is refused, and no shared-memory file is
  // needed.
  RETURN_IF_ERROR(database_.Execute("PRAGMA locking_mode=EXCLUSIVE"));
  RETURN_IF_ERROR(CheckVersion(path));
  ASSIGN_OR_RETURN(const std::string mode, database_.QueryText("PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return Unavailable("SQLite cannot use write-ahead logging for this file: journal mode is " +
                       mode);
  }
  RETURN_IF_ERROR(database_.Execute("PRAGMA synchronous=FULL"));
  ASSIGN_OR_RETURN(std::string integrity, database_.QueryText("PRAGMA integrity_check(1)"));
  if (integrity != "ok") {
    // "*** in database main ***\nPage 12: ..."
    integrity.erase(0, integrity.find('\n') + 1);
    std::ranges::replace(integrity, '\n', ' ');
    return DamagedStore(integrity);
  }
  RETURN_IF_ERROR(CheckLength(path));
  ASSIGN_OR_RETURN(const int64_t version, database_.QueryInteger("PRAGMA user_version"));
  if (version < kStoreSchemaVersion) RETURN_IF_ERROR(MigrateStore(this, path, version));
  RETURN_IF_ERROR(AddMissingTables(path));
  RETURN_IF_ERROR(FollowChecksums());
  return LoadHistorySize();
}

Status Store::FollowChecksums() {
  RETURN_IF_ERROR(database_.AddAccumulator("fl_account", &delta_));
  // Makes INSERT OR REPLACE run the delete trigger for the row that it replaces.
  RETURN_IF_ERROR(database_.Execute("PRAGMA recursive_triggers=ON"));
  for (const StoreTable& each : AllTables(resources_)) {
    const std::string table = each.name;
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
  for (const StoreTable& table : AllTables(resources_)) {
    std::string sql = "SELECT checksum FROM " + std::string(table.name);
    if (table.name == std::string("meta")) sql += " WHERE key != 'digest'";
    ASSIGN_OR_RETURN(SqliteStatement rows, database_.Prepare(sql.c_str()));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      sum += static_cast<uint64_t>(rows.Integer(0));
    }
  }
  return sum;
}

namespace {

// What to do with the store of a newer fairleadd at `path`.
std::string NewerStoreRemedy(const std::string& path) {
  std::string remedy = "; start the newer fairleadd that wrote it";
  for (int64_t version = kStoreSchemaVersion; version > 0; --version) {
    const std::string copy = path + ".schema-" + std::to_string(version);
    struct stat info = {};
    if (::stat(copy.c_str(), &info) != 0) continue;
    return remedy + ", or put " + copy +
           ", the copy made at the upgrade, in its place (operations.md, Upgrades); later changes "
           "are lost then";
  }
  return remedy;
}

}  // namespace

Status Store::CheckVersion(const std::string& path) {
  ASSIGN_OR_RETURN(const int64_t version, database_.QueryInteger("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const int64_t application, database_.QueryInteger("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const int64_t tables,
                   database_.QueryInteger("SELECT count(*) FROM sqlite_schema"));
  if (version == 0 && application == 0 && tables == 0) return {};  // new
  if (application != kStoreApplicationId) {
    return InvalidArgument(
        "is a SQLite file, but not a Fairlead store; left unchanged; choose another --store");
  }
  if (version > kStoreSchemaVersion) {
    return InvalidArgument("the store has schema version " + std::to_string(version) +
                           ", this fairleadd reads versions up to " +
                           std::to_string(kStoreSchemaVersion) + NewerStoreRemedy(path));
  }
  if (version < 1) {
    return DamagedStore("schema version " + std::to_string(version) + " is out of range");
  }
  return {};
}

Status Store::CreateSchema() {
  RETURN_IF_ERROR(database_.Execute("PRAGMA synchronous=FULL"));
  const std::string pragmas = "PRAGMA application_id=" + std::to_string(kStoreApplicationId) +
                              ";PRAGMA user_version=" + std::to_string(kStoreSchemaVersion);
  // The file still has its temporary name, so these steps need not be one transaction.
  for (const StoreTable& table : AllTables(resources_)) {
    RETURN_IF_ERROR(database_.Execute(table.sql));
  }
  RETURN_IF_ERROR(database_.Execute(pragmas.c_str()));
  RETURN_IF_ERROR(FollowChecksums());
  ASSIGN_OR_RETURN(Transaction transaction, Begin());
  RETURN_IF_ERROR(SetMeta("generation", 0));
  RETURN_IF_ERROR(transaction.SetRevision(0));
  for (const Resource* resource : resources_) {
    if (resource->create != nullptr) RETURN_IF_ERROR(resource->create(&database_));
  }
  return transaction.Commit();
}

Status Store::AddMissingTables(const std::string& path) {
  std::set<std::string> unknown;
  ASSIGN_OR_RETURN(SqliteStatement tables,
                   database_.Prepare("SELECT name FROM sqlite_schema WHERE type = 'table'"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, tables.Step());
    if (!row) break;
    if (!tables.Text(0).starts_with("sqlite_")) unknown.insert(tables.Text(0));
  }
  std::string missing;
  for (const StoreTable& table : AllTables(resources_)) {
    if (unknown.erase(table.name) == 0) missing += table.sql;
  }
  for (const std::string& table : unknown) {
    ASSIGN_OR_RETURN(const int64_t rows,
                     database_.QueryInteger(("SELECT count(*) FROM \"" + table + "\"").c_str()));
    if (rows == 0) continue;
    return InvalidArgument("the store has a table '" + table +
                           "', which this fairleadd does not know" + NewerStoreRemedy(path));
  }
  if (missing.empty()) return {};
  return database_.Execute(("BEGIN IMMEDIATE;" + missing + "COMMIT").c_str());
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

Result<StoredState> Store::Load() {
  ASSIGN_OR_RETURN(const uint64_t digest, GetMeta("digest"));
  if (digest != digest_) {
    return DamagedStore(
        "the digest of all rows does not match: rows are missing, or come from an earlier state");
  }
  StoredState state;
  ASSIGN_OR_RETURN(state.generation, GetMeta("generation"));
  if (state.generation >= kMaxGeneration) {
    return DamagedStore("generation " + std::to_string(state.generation) + " is out of range");
  }
  ASSIGN_OR_RETURN(state.intent.revision, GetMeta("revision"));
  ASSIGN_OR_RETURN(state.intent.change_id, LoadChanges(&database_, &state.changes));
  for (const Resource* resource : resources_) {
    if (resource->load != nullptr) RETURN_IF_ERROR(resource->load(&database_, &state.intent));
  }
  ASSIGN_OR_RETURN(state.status, LoadStatus(&database_));
  return state;
}

Status Store::WithFile(const Status& written) const {
  if (written.code() != ErrorCode::kUnavailable) return written;
  return Unavailable("the store " + database_.path() + " cannot be written: " + written.message() +
                     "; free space in its folder, or make it writable");
}

Status Store::SetMeta(const char* key, uint64_t value) { return PutMeta(&database_, key, value); }

Result<uint64_t> Store::GetMeta(const char* key) { return LoadMeta(&database_, key); }

Status Store::LoadHistorySize() {
  ASSIGN_OR_RETURN(const int64_t entries, database_.QueryInteger("SELECT count(*) FROM history"));
  ASSIGN_OR_RETURN(const int64_t bytes,
                   database_.QueryInteger("SELECT coalesce(sum(length(changes)), 0) FROM "
                                          "history"));
  history_entries_ = static_cast<uint64_t>(entries);
  history_bytes_ = static_cast<uint64_t>(bytes);
  return {};
}

Result<std::vector<HistoryEntry>> Store::History(uint64_t from, size_t limit) {
  return LoadHistory(&database_, from, limit);
}

Result<uint64_t> Store::OldestRevision() {
  ASSIGN_OR_RETURN(const int64_t oldest,
                   database_.QueryInteger("SELECT coalesce(min(revision), 0) FROM history"));
  return static_cast<uint64_t>(oldest);
}

Status Store::SetDurability(Durability durability) {
  if (durability == durability_) return {};
  RETURN_IF_ERROR(database_.Execute(
      durability == Durability::kOnDisk ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
  durability_ = durability;
  return {};
}

Result<Store::Transaction> Store::Begin(Durability durability) {
  RETURN_IF_ERROR(SetDurability(durability));
  RETURN_IF_ERROR(database_.Execute("BEGIN IMMEDIATE"));
  return Transaction(this);
}

Store::Transaction::~Transaction() {
  // A rollback that fails is ignored: the next BEGIN fails then.
  if (store_ != nullptr) (void)database().Execute("ROLLBACK");
}

Status Store::Transaction::PutIntent(const Intent& before, const Intent& after) {
  const IntentChange change(before, after);
  for (const Resource* resource : store_->resources_) {
    if (resource->save != nullptr) RETURN_IF_ERROR(resource->save(&database(), change));
  }
  return SetRevision(after.revision);
}

Status Store::Transaction::PutStatus(uint32_t backend_id, const StoredStatus& status) {
  return PutStatusRow(&database(), backend_id, status);
}

Status Store::Transaction::SetGeneration(uint64_t generation) {
  // A write that runs late must not replace a higher generation.
  ASSIGN_OR_RETURN(const uint64_t present, store_->GetMeta("generation"));
  if (generation <= present) return {};
  return store_->SetMeta("generation", generation);
}

Status Store::Transaction::SetRevision(uint64_t revision) {
  return store_->SetMeta("revision", revision);
}

Status Store::Transaction::AddChange(uint64_t generation, uint64_t id) {
  RETURN_IF_ERROR(PutChangeRow(&database(), generation, id));
  // Keep the newest kChangesKept.
  ASSIGN_OR_RETURN(SqliteStatement oldest,
                   database().Prepare("DELETE FROM changes WHERE generation <= (SELECT generation "
                                      "FROM changes ORDER BY generation DESC LIMIT 1 OFFSET ?)"));
  RETURN_IF_ERROR(oldest.Bind(static_cast<int64_t>(kChangesKept)).Run());
  acknowledged_ = {generation, id};
  return {};
}

Status Store::Transaction::AddHistory(const HistoryEntry& entry) {
  RETURN_IF_ERROR(PutHistoryRow(&database(), entry));
  added_entries_ += 1;
  added_bytes_ += static_cast<int64_t>(entry.changes.size());
  const auto is_too_much = [&] {
    return store_->history_entries_ + static_cast<uint64_t>(added_entries_) > kMaxHistoryEntries ||
           static_cast<int64_t>(store_->history_bytes_) + added_bytes_ >
               static_cast<int64_t>(kMaxHistoryBytes);
  };
  // The newest entry stays, however large it is.
  while (is_too_much() && store_->history_entries_ + static_cast<uint64_t>(added_entries_) > 1) {
    ASSIGN_OR_RETURN(const int64_t bytes,
                     database().QueryInteger("SELECT length(changes) FROM history ORDER BY "
                                             "revision LIMIT 1"));
    RETURN_IF_ERROR(database().Execute(
        "DELETE FROM history WHERE revision = (SELECT min(revision) FROM history)"));
    added_entries_ -= 1;
    added_bytes_ -= bytes;
  }
  return {};
}

Status Store::Transaction::Commit() {
  const uint64_t digest = store_->digest_ + store_->delta_;
  RETURN_IF_ERROR(store_->SetMeta("digest", digest));
  RETURN_IF_ERROR(database().Execute("COMMIT"));
  store_->digest_ = digest;
  store_->history_entries_ += static_cast<uint64_t>(added_entries_);
  store_->history_bytes_ += static_cast<uint64_t>(added_bytes_);
  if (acknowledged_.change_id != 0) store_->acknowledged_.Write(acknowledged_);
  store_ = nullptr;
  return {};
}

}  // namespace fairlead
