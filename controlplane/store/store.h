// The durable intent: services, backends, drains, the last known health, the generation counter
// and the group's hash seed. One SQLite file (WAL, synchronous=FULL), held exclusively while open.
//
//   meta      key, value                         generation, intent_generation, hash_seed, row counts
//   services  name, id, spec (JSON, no backends), checksum
//   backends  id, service, endpoint, spec (JSON), checksum
//   drains    backend_id, started_ms, deadline_ms, finished_ms, reason, checksum
//   health    backend_id, state, since_ms, reason, checksum
//
// Every row carries an XXH3-64 of its columns and meta counts the rows, so that a damaged file is
// refused at start even where its pages still look like a database. What Commit() has acknowledged
// survives kill -9 and power loss. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/state/types.h"
#include "controlplane/store/sqlite.h"
#include "lib/intent/model.h"

namespace fairlead {

inline constexpr int64_t kStoreSchemaVersion = 1;
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
  std::vector<StoredService> services;  // by name; backends by endpoint
};

class Store {
 public:
  // Opens or creates. Refuses with kDataLoss a damaged file, with kFailedPrecondition a store of
  // another program or of a newer version, or one that another process holds.
  static Result<std::unique_ptr<Store>> Open(const std::string& path);

  Result<StoredState> Load();

  // All or nothing: what is not committed is rolled back when the transaction goes out of scope.
  class Transaction {
   public:
    Transaction(Transaction&& other) noexcept : store_(std::exchange(other.store_, nullptr)) {}
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
    // Returns after the log is on the disk.
    Status Commit();

   private:
    friend class Store;
    explicit Transaction(Store* store) : store_(store) {}
    SqliteDatabase& database() { return store_->database_; }

    Store* store_;
  };
  Result<Transaction> Begin();

 private:
  explicit Store(SqliteDatabase database) : database_(std::move(database)) {}

  Status Prepare();
  Status CheckVersion();
  Status CreateSchema();
  Status SetMeta(const char* key, uint64_t value);
  Result<uint64_t> GetMeta(const char* key);
  Status CheckCount(const char* table);
  Status UpdateCounts();
  Status LoadServices(StoredState* state);
  Status LoadBackends(StoredState* state);
  Status LoadDrains(StoredState* state);
  Status LoadHealth(StoredState* state);

  SqliteDatabase database_;
};

}  // namespace fairlead
