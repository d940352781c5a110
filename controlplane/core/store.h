// The durable intent: services, backends, drains, the last known health, the generation counter
// and the group's hash seed. One SQLite file, held exclusively while open.
//
// SQLite's write-ahead log (synchronous=FULL) makes a commit one write to the disk. But SQLite reads a
// damaged log up to its first bad frame, without a word, and what was acknowledged behind it would be
// undone. So a file beside the store, PATH.acknowledged, names the last change: a store that does not
// know that change has lost it, and is refused (docs/decisions/0018-lost-changes.md).
//
//   meta      key, value                         generation, intent_generation, hash_seed, digest
//   services  name, id, spec (JSON, no backends), checksum
//   backends  id, service, endpoint, spec (JSON), checksum
//   drains    backend_id, started_ms, deadline_ms, finished_ms, reason, checksum
//   health    backend_id, state, since_ms, reason, checksum
//   changes   generation, id, checksum           what was acknowledged last, by random ids
//
// Every row carries an XXH3-64 of its columns, and meta has the sum of all of these: a damaged file is
// refused at start even where its pages still look like a database, and so is one with a page of an
// earlier moment. What Commit() has acknowledged survives kill -9 and power loss.
//
// The dataplane is the second witness: it tells the change that it forwards by (KnowsChange). One
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/common/sqlite.h"
#include "controlplane/core/types.h"
#include "lib/host/own_files.h"
#include "lib/intent/model.h"

namespace fairlead {

inline constexpr int64_t kStoreSchemaVersion = 2;           // 1: with row counts, without changes
inline constexpr int64_t kStoreApplicationId = 0x4652444c;  // "FRDL"

struct StoredBackend {
  uint32_t id = 0;
  BackendSpec spec;
  std::optional<Health> health;
  std::optional<DrainRecord> drain;
};

struct StoredService {
  uint32_t id = 0;
  ServiceSpec spec;  // `backends` empty: they are below
  std::vector<StoredBackend> backends;
};

struct StoredState {
  uint64_t generation = 0;         // of the last snapshot that may have been published
  uint64_t intent_generation = 0;  // of the last change of the intent; 0 = never configured
  uint64_t hash_seed = 0;
  uint64_t change_id = 0;               // of the last change; 0: there was none since version 2
  std::vector<StoredService> services;  // by name; backends by endpoint
};

class Store {
 public:
  // Opens or creates. Refuses with kDataLoss a damaged or empty file, and one that has lost changes
  // unless `accept_older`; with kFailedPrecondition a store of another program or of a newer version,
  // one that another process holds, and what is no regular file of this user's.
  static Result<std::unique_ptr<Store>> Open(const std::string& path, bool accept_older = false);

  Result<StoredState> Load();

  // False: this is not the store, or an earlier state of it, in which that change was made. True also
  // where it is too old to be remembered.
  Result<bool> KnowsChange(uint64_t id, uint64_t generation);
  // The bytes of a store file with what is committed.
  Result<std::string> Backup() { return database_.Backup(); }

  // All or nothing: what is not committed is rolled back when the transaction goes out of scope.
  class Transaction {
   public:
    Transaction(Transaction&& other) noexcept
        : store_(std::exchange(other.store_, nullptr)),
          change_id_(other.change_id_),
          change_generation_(other.change_generation_) {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    Status PutService(uint32_t id, const ServiceSpec& spec);
    Status DeleteService(const std::string& name);  // its backends must be gone
    Status PutBackend(uint32_t id, const std::string& service, const BackendSpec& spec);
    Status DeleteBackend(uint32_t id);  // with its drain and health
    Status PutHealth(uint32_t backend_id, const Health& health);
    Status PutDrain(uint32_t backend_id, const DrainRecord& drain);
    Status DeleteDrain(uint32_t backend_id);
    Status SetGeneration(uint64_t generation);
    Status SetIntentGeneration(uint64_t generation);
    Status SetHashSeed(uint64_t seed);
    // Remembers that a change was made that somebody is told of. The last 10,000 are kept.
    Status AddChange(uint64_t generation, uint64_t id);
    // Returns after the log is on the disk.
    Status Commit();

   private:
    friend class Store;
    explicit Transaction(Store* store) : store_(store) { store_->delta_ = 0; }
    SqliteDatabase& database() { return store_->database_; }

    Store* store_;
    uint64_t change_id_ = 0;  // to be acknowledged, and its generation
    uint64_t change_generation_ = 0;
  };
  Result<Transaction> Begin();

 private:
  explicit Store(SqliteDatabase database) : database_(std::move(database)) {}

  struct Acknowledged;

  Status Prepare(const std::string& path);
  Status CheckAcknowledged(const std::string& path, bool accept_older);
  void Acknowledge(uint64_t generation, uint64_t id);
  Status CheckLength(const std::string& path);
  static Status Create(const std::string& path);
  Status CheckVersion();
  Status CreateSchema();
  Status Migrate();
  // From here on delta_ follows what statements change.
  Status FollowChecksums();
  // Of all rows, as they are read.
  Result<uint64_t> SumChecksums();
  Status SetMeta(const char* key, uint64_t value);
  Result<uint64_t> GetMeta(const char* key);
  Status CheckCount(const char* table);
  Status LoadServices(StoredState* state);
  Status LoadBackends(StoredState* state);
  Status LoadDrains(StoredState* state);
  Status LoadHealth(StoredState* state);
  Status LoadChanges(StoredState* state);

  SqliteDatabase database_;
  UniqueFd acknowledged_;
  uint64_t digest_ = 0;  // of what is committed
  uint64_t delta_ = 0;   // what the transaction adds to it
};

}  // namespace fairlead
