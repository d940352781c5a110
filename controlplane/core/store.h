// The durable side of the core: the intent with its history, the last status of each backend, the
// snapshot generation and the group's hash seed. One SQLite file, held exclusively while open.
//
// SQLite's write-ahead log makes a commit one write to the disk. Changes of the intent wait for that
// write (synchronous=FULL); what was observed does not (Durability::kInMemory). But SQLite reads a damaged log up
// to its first bad frame, without a word, and what was acknowledged behind it would be undone. So a
// file beside the store, PATH.acknowledged, names the last change: a store that does not know that
// change has lost it, and is refused (docs/decisions/0018-lost-changes.md).
//
//   meta      key, value                         generation, revision, hash_seed, digest
//   status    backend_id, health and drain progress in numbers, checksum
//   changes   generation, id, checksum           what was acknowledged last, by random ids
//   history   revision, at_ms, author, changes (JSON), checksum
//   and the tables of the resources (resource.h): services, backends, drains
//
// Every row carries an XXH3-64 of its columns, and meta has the sum of all of these: a damaged file is
// refused at start even where its pages still look like a database, and so is one with a page of an
// earlier moment. What a durable Commit() has acknowledged survives kill -9 and power loss.
//
// The dataplane is the second witness: it tells the change that it forwards by (KnowsChange).
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

struct StoredState {
  uint64_t generation = 0;  // of the last snapshot that may have been published
  Intent intent;
  std::unordered_map<uint32_t, StoredStatus> status;  // by backend id
  KnownChanges changes;
};

enum class Durability : uint8_t {
  kOnDisk,    // the transaction's Commit() returns when the disk has it
  kInMemory,  // it survives the end of the process, and reaches the disk with the next kOnDisk
};

class Store {
 public:
  // Opens or creates; a store of an older version is migrated, and a copy of it kept as
  // PATH.schema-N. Refuses with kDataLoss a damaged or empty file, and one that has lost changes
  // unless `accept_older`; with kFailedPrecondition a store of another program or of a newer version,
  // one with rows in a table that no resource has, one that another process holds, and what is no
  // regular file of this user's.
  static Result<std::unique_ptr<Store>> Open(const std::string& path, bool accept_older = false,
                                             ResourceList resources = BuiltInResources());

  Result<StoredState> Load();

  // False: this is not the store, or an earlier state of it, in which that change was made. True also
  // where it is too old to be remembered.
  Result<bool> KnowsChange(uint64_t id, uint64_t generation);
  // The bytes of a store file with what is committed.
  Result<std::string> Backup() { return database_.Backup(); }

  // Entries from revision `from` on, ascending, at most `limit`.
  Result<std::vector<HistoryEntry>> History(uint64_t from, size_t limit);
  // The oldest revision that is kept; 0: none.
  Result<uint64_t> OldestRevision();

  // All or nothing; one at a time. What is not committed is rolled back when the transaction goes out of scope.
  class Transaction {
   public:
    Transaction(Transaction&& other) noexcept
        : store_(std::exchange(other.store_, nullptr)),
          acknowledged_(other.acknowledged_),
          added_entries_(other.added_entries_),
          added_bytes_(other.added_bytes_) {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    // What `after` has otherwise than `before`: what resources have, and the revision.
    Status PutIntent(const Intent& before, const Intent& after);
    Status PutStatus(uint32_t backend_id, const StoredStatus& status);
    Status SetGeneration(uint64_t generation);
    Status SetRevision(uint64_t revision);
    // Remembers that a change was made that somebody is told of. The last 10,000 are kept.
    Status AddChange(uint64_t generation, uint64_t id);
    // The last kMaxHistoryEntries are kept, or fewer where they are large.
    Status AddHistory(const HistoryEntry& entry);
    Status Commit();

    SqliteDatabase& database() { return store_->database_; }

   private:
    friend class Store;
    explicit Transaction(Store* store) : store_(store) { store_->delta_ = 0; }

    Store* store_;
    AcknowledgedChange acknowledged_;  // once it is committed
    int64_t added_entries_ = 0;        // of the history
    int64_t added_bytes_ = 0;
  };
  Result<Transaction> Begin(Durability durability = Durability::kOnDisk);

 private:
  friend Status MigrateStore(Store* store, const std::string& path, int64_t version);
  Store(SqliteDatabase database, ResourceList resources)
      : database_(std::move(database)), resources_(resources) {}

  Status Prepare(const std::string& path);
  Status CheckAcknowledged(const std::string& path, bool accept_older);
  Status CheckLength(const std::string& path);
  static Status Create(const std::string& path, ResourceList resources);
  Status CheckVersion();
  Status CreateSchema();
  // Makes the tables that the resources have and the store has not.
  Status AddMissingTables();
  // From here on delta_ follows what statements change.
  Status FollowChecksums();
  // Of all rows, as they are read.
  Result<uint64_t> SumChecksums();
  Status SetMeta(const char* key, uint64_t value);
  Result<uint64_t> GetMeta(const char* key);
  Status LoadHistorySize();
  Status SetDurability(Durability durability);

  SqliteDatabase database_;
  ResourceList resources_;
  AcknowledgedFile acknowledged_;
  Durability durability_ = Durability::kOnDisk;
  uint64_t digest_ = 0;         // of what is committed
  uint64_t delta_ = 0;          // what the transaction adds to it
  uint64_t history_bytes_ = 0;  // of all entries, about
  uint64_t history_entries_ = 0;
};

// "the store is damaged: WHAT; restore it ..."
Status DamagedStore(const std::string& what);

}  // namespace fairlead
