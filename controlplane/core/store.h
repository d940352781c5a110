// The durable side of the core: the intent with its history, the last status of each backend, the
// snapshot generation and the group's hash seed. One SQLite file, held exclusively while open.
//
// SQLite's write-ahead log makes a commit one write to the disk. Changes of the intent wait for
// that write (synchronous=FULL). Observed status does not (Durability::kInMemory). SQLite reads a
// damaged log up to its first bad frame and reports no error: acknowledged changes behind that
// frame would be lost silently. So a file beside the store, PATH.acknowledged, names the last
// acknowledged change. A store that does not know that change has lost it, and is refused
// (docs/decisions/0018-lost-changes.md).
//
//   meta      key, value                         generation, revision, hash_seed, digest
//   status    backend_id, health and drain progress in numbers, checksum
//   changes   generation, id, checksum           the last acknowledged changes, with random ids
//   history   revision, at_ms, author, changes (JSON), checksum
//   and the tables of the resources (resource.h): services, backends, drains
//
// Every row has an XXH3-64 checksum of its columns, and meta has the sum of all checksums. So a
// start refuses a damaged file even if it is still a valid database, and a file with a page from an
// earlier state. A change survives kill -9 and power loss once a kOnDisk Commit() has returned.
//
// The dataplane gives a second check: it reports the change that it has in force (KnowsChange).
//
// One thread at a time (store_thread.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "controlplane/common/sqlite.h"
#include "controlplane/core/acknowledged.h"
#include "controlplane/core/history.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/known_changes.h"
#include "controlplane/core/resource.h"
#include "controlplane/core/status_board.h"

namespace fairlead {

// 1: with row counts, without changes; 2: without owners and history, reasons as text.
inline constexpr int64_t kStoreSchemaVersion = 3;
inline constexpr int64_t kStoreApplicationId = 0x4652444c;  // "FRDL"

// What to do with a store that does not have the newest change.
inline constexpr const char* kHowToAcceptOlderStore =
    "start fairleadd once with `accept_older_store: true` in fairleadd.yaml, or with "
    "--accept-older-store";

struct StoredState {
  uint64_t generation = 0;  // of the last snapshot that may have been published
  Intent intent;
  std::unordered_map<uint32_t, StoredStatus> status;  // by backend id
  KnownChanges changes;
};

enum class Durability : uint8_t {
  kOnDisk,    // Commit() returns when the transaction is on the disk
  kInMemory,  // survives the end of the process, and reaches the disk with the next kOnDisk
};

class Store {
 public:
  // Opens or creates a store. Migrates a store of an older version, and keeps a copy of it as
  // PATH.schema-N. Fails with:
  // - kDataLoss: the file is damaged or empty, or it has lost changes and `accept_older` is false.
  // - kInvalidArgument: the store belongs to another program or a newer version, or has rows in a
  //   table of no resource, or the file is not a regular file of this user.
  // - kFailedPrecondition: the store is held by another process.
  // - kUnavailable: the file or its folder cannot be written.
  static Result<std::unique_ptr<Store>> Open(const std::string& path, bool accept_older = false,
                                             ResourceList resources = BuiltInResources());

  Result<StoredState> Load();

  // False: this store does not contain the change. It is another store, or an older state of this
  // one. True also if the change is too old to be remembered.
  Result<bool> KnowsChange(uint64_t id, uint64_t generation);
  // The bytes of a store file with all committed rows.
  Result<std::string> Backup() { return database_.Backup(); }

  // Entries from revision `from` on, ascending, at most `limit`.
  Result<std::vector<HistoryEntry>> History(uint64_t from, size_t limit);
  // The oldest revision in the history; 0: the history is empty.
  Result<uint64_t> OldestRevision();

  // All or nothing. One at a time. Rolled back when it goes out of scope without Commit().
  class Transaction {
   public:
    Transaction(Transaction&& other) noexcept
        : store_(std::exchange(other.store_, nullptr)),
          acknowledged_(other.acknowledged_),
          added_entries_(other.added_entries_),
          added_bytes_(other.added_bytes_) {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    // Writes the differences between `before` and `after`: rows of the resources, and the revision.
    Status PutIntent(const Intent& before, const Intent& after);
    Status PutStatus(uint32_t backend_id, const StoredStatus& status);
    Status SetGeneration(uint64_t generation);
    Status SetRevision(uint64_t revision);
    // Records a change that will be acknowledged. The last 10,000 are kept.
    Status AddChange(uint64_t generation, uint64_t id);
    // At most kMaxHistoryEntries entries and kMaxHistoryBytes bytes are kept, the newest.
    Status AddHistory(const HistoryEntry& entry);
    Status Commit();

    SqliteDatabase& database() { return store_->database_; }

   private:
    friend class Store;
    explicit Transaction(Store* store) : store_(store) { store_->delta_ = 0; }

    Store* store_;
    AcknowledgedChange acknowledged_;  // written to its file after the commit
    int64_t added_entries_ = 0;        // to the history; negative: removed
    int64_t added_bytes_ = 0;
  };
  // The same status; if the file could not be written, its message names the file and what to do.
  Status WithFile(const Status& written) const;
  Result<Transaction> Begin(Durability durability = Durability::kOnDisk);

 private:
  friend Status MigrateStore(Store* store, const std::string& path, int64_t version);
  Store(SqliteDatabase database, ResourceList resources)
      : database_(std::move(database)), resources_(resources) {}

  Status Prepare(const std::string& path);
  Status CheckAcknowledged(const std::string& path, bool accept_older);
  Status CheckLength(const std::string& path);
  static Status Create(const std::string& path, ResourceList resources);
  Status CheckVersion(const std::string& path);
  Status CreateSchema();
  // Creates tables of the resources that the store does not have yet. Refuses unknown tables with
  // rows.
  Status AddMissingTables(const std::string& path);
  // Adds triggers, so that from here on delta_ sums the checksums of changed rows.
  Status FollowChecksums();
  // The sum of the checksums of all rows.
  Result<uint64_t> SumChecksums();
  Status SetMeta(const char* key, uint64_t value);
  Result<uint64_t> GetMeta(const char* key);
  Status LoadHistorySize();
  Status SetDurability(Durability durability);

  SqliteDatabase database_;
  ResourceList resources_;
  AcknowledgedFile acknowledged_;
  Durability durability_ = Durability::kOnDisk;
  uint64_t digest_ = 0;         // of all committed rows
  uint64_t delta_ = 0;          // what the transaction adds to digest_
  uint64_t history_bytes_ = 0;  // of the changes in all entries
  uint64_t history_entries_ = 0;
};

// "the store is damaged: WHAT; restore it ..."
Status DamagedStore(const std::string& what);

}  // namespace fairlead
