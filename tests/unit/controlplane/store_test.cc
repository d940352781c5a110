#include "controlplane/core/store.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "controlplane/core/store_rows.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using testing::HasSubstr;

constexpr uint32_t kSeed = 20240501;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

const StoredStatus kUnhealthy = {
    .health = {HealthState::kUnhealthy, 5000, {CheckOutcome::kFailed, 111, 80, 3}},
    .drain = {.drain_revision = 2,
              .end = DrainEnd::kDeadlinePassed,
              .flows_kept = true,
              .finished_ms = 7000}};

class StoreTest : public testing::Test {
 protected:
  std::unique_ptr<Store> Open(const std::string& name = "store.db") {
    Result<std::unique_ptr<Store>> store = Store::Open(directory_.File(name));
    EXPECT_TRUE(store.ok()) << store.status().message();
    return store.ok() ? *std::move(store) : nullptr;
  }

  // Backend 10.0.0.N has id 100 + N.
  static BackendIntent BackendWithWeight(uint32_t id, uint16_t weight) {
    BackendIntent backend;
    backend.id = id;
    backend.spec = ParseBackendSpec(R"({"address": "10.0.0.)" + std::to_string(id - 100) + R"("})");
    backend.spec.weight = weight;
    backend.owner = id == 103 ? "scaler" : "";
    return backend;
  }

  // Writes one service, three backends, a drain and one health state, at generation 3.
  static void Fill(Store* store) {
    const ServiceSpec service = ParseServiceSpec(
        R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"], "drain_timeout": "60s"})");
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    SqliteDatabase* rows = &transaction->database();
    ASSERT_TRUE(PutServiceRow(rows, 11, service).ok());
    for (uint32_t i = 1; i <= 3; ++i) {
      ASSERT_TRUE(PutBackendRow(rows, "web", BackendWithWeight(100 + i, 5)).ok());
    }
    ASSERT_TRUE(PutDrainRow(rows, 101, {2, 1000, 61'000}).ok());
    ASSERT_TRUE(transaction->PutStatus(102, kUnhealthy).ok());
    ASSERT_TRUE(transaction->SetGeneration(3).ok());
    ASSERT_TRUE(transaction->SetRevision(3).ok());
    ASSERT_TRUE(PutMeta(rows, "hash_seed", 0xfedcba9876543210).ok());
    ASSERT_TRUE(transaction->Commit().ok());
  }

  static void ExpectFilled(const StoredState& state) {
    EXPECT_EQ(state.generation, 3U);
    EXPECT_EQ(state.intent.revision, 3U);
    EXPECT_EQ(state.intent.hash_seed, 0xfedcba9876543210);
    ASSERT_EQ(state.intent.services.size(), 1U);
    const ServiceIntent& service = *state.intent.services[0];
    EXPECT_EQ(service.id, 11U);
    EXPECT_EQ(service.name(), "web");
    EXPECT_EQ(service.settings.drain_timeout_ms, 60'000U);
    ASSERT_EQ(service.backends.size(), 3U);
    EXPECT_EQ(service.backends[0]->id, 101U);
    EXPECT_EQ(service.backends[0]->spec.endpoint.ToString(), "10.0.0.1");
    EXPECT_EQ(service.backends[0]->spec.weight, 5U);
    EXPECT_EQ(service.backends[0]->owner, "");
    EXPECT_EQ(service.backends[0]->drain, (DrainIntent{2, 1000, 61'000}));
    ASSERT_EQ(state.status.size(), 1U);
    EXPECT_EQ(state.status.at(102).health, kUnhealthy.health);
    EXPECT_EQ(state.status.at(102).drain, kUnhealthy.drain);
    EXPECT_EQ(service.backends[2]->drain, std::nullopt);
    EXPECT_EQ(service.backends[2]->owner, "scaler");
  }

  // Copies the store's files as they are now to another name.
  void CopyAs(const std::string& name) {
    for (const std::string suffix : {"", "-wal", ".acknowledged"}) {
      WriteAll(directory_.File(name + suffix), ReadAll(directory_.File("store.db" + suffix)));
    }
  }

  Status LoadError(const std::string& name) {
    Result<std::unique_ptr<Store>> store = Store::Open(directory_.File(name));
    if (!store.ok()) return store.status();
    return (*store)->Load().status();
  }

  TempDir directory_;
};

TEST_F(StoreTest, NewStoreIsEmptyWithARandomSeed) {
  const Result<StoredState> one = Open("one.db")->Load();
  const Result<StoredState> two = Open("two.db")->Load();
  ASSERT_TRUE(one.ok());
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(one->generation, 0U);
  EXPECT_EQ(one->intent.revision, 0U);
  EXPECT_TRUE(one->intent.services.empty());
  EXPECT_NE(one->intent.hash_seed, two->intent.hash_seed);
}

TEST_F(StoreTest, LoadsCommittedContentAfterReopening) {
  Fill(Open().get());
  const Result<StoredState> state = Open()->Load();
  ASSERT_TRUE(state.ok()) << state.status().message();
  ExpectFilled(*state);
}

TEST_F(StoreTest, TransactionWithoutACommitChangesNothing) {
  Fill(Open().get());
  const std::unique_ptr<Store> store = Open();
  {
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(transaction->PutIntent(store->Load()->intent, Intent()).ok());
    ASSERT_TRUE(transaction->SetGeneration(4).ok());
  }
  const Result<StoredState> state = store->Load();
  ASSERT_TRUE(state.ok());
  ExpectFilled(*state);
}

TEST_F(StoreTest, DeletingABackendDeletesItsDrainAndHealth) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  Result<Store::Transaction> transaction = store->Begin();
  ASSERT_TRUE(transaction->PutIntent(store->Load()->intent, Intent()).ok());
  ASSERT_TRUE(transaction->Commit().ok());
  const Result<StoredState> state = store->Load();
  ASSERT_TRUE(state.ok()) << state.status().message();
  EXPECT_TRUE(state->intent.services.empty());
}

// kill -9 leaves the files as they are, with the write-ahead log not yet in the database.
TEST_F(StoreTest, CopyOfAnOpenStoreHasAllCommittedContent) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  Result<Store::Transaction> open_transaction = store->Begin();
  ASSERT_TRUE(open_transaction.ok());
  ASSERT_TRUE(open_transaction->PutIntent(store->Load()->intent, Intent()).ok());
  CopyAs("copy.db");
  const Result<StoredState> state = Open("copy.db")->Load();
  ASSERT_TRUE(state.ok()) << state.status().message();
  ExpectFilled(*state);
}

// If the log is cut inside a transaction, that transaction is lost. All earlier ones are kept.
TEST_F(StoreTest, LogCutInsideATransactionLosesOnlyThatTransaction) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  const size_t committed = ReadAll(directory_.File("store.db-wal")).size();
  Result<Store::Transaction> transaction = store->Begin();
  ASSERT_TRUE(transaction.ok());
  ASSERT_TRUE(transaction->PutIntent(store->Load()->intent, Intent()).ok());
  ASSERT_TRUE(transaction->SetGeneration(4).ok());
  ASSERT_TRUE(transaction->Commit().ok());
  const std::string log = ReadAll(directory_.File("store.db-wal"));
  ASSERT_GT(log.size(), committed);
  for (size_t length = committed; length < log.size(); length += 997) {
    CopyAs("copy.db");
    WriteAll(directory_.File("copy.db-wal"), log.substr(0, length));
    const std::unique_ptr<Store> copy = Open("copy.db");
    ASSERT_NE(copy, nullptr);
    const Result<StoredState> state = copy->Load();
    ASSERT_TRUE(state.ok()) << length << ": " << state.status().message();
    ExpectFilled(*state);
  }
}

// SQLite reads a damaged log up to the damage and reports no error.
TEST_F(StoreTest, RefusesAStoreThatADamagedLogSetBack) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  for (uint64_t generation = 4; generation <= 8; ++generation) {
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    const auto changed = BackendWithWeight(101, static_cast<uint16_t>(140 + generation));
    ASSERT_TRUE(PutBackendRow(&transaction->database(), "web", changed).ok());
    ASSERT_TRUE(transaction->SetGeneration(generation).ok());
    ASSERT_TRUE(transaction->AddChange(generation, 1000 + generation).ok());
    ASSERT_TRUE(transaction->Commit().ok());
  }
  const std::string log = ReadAll(directory_.File("store.db-wal"));
  std::mt19937 random(kSeed);
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    std::string damaged = log;
    const size_t at = random() % log.size();
    if (round % 3 == 0) damaged.resize(at);
    if (round % 3 == 1) damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    if (round % 3 == 2) damaged.replace(at, 64, 64, '\0');
    CopyAs("copy.db");
    WriteAll(directory_.File("copy.db-wal"), damaged);
    Result<std::unique_ptr<Store>> opened = Store::Open(directory_.File("copy.db"));
    const Result<StoredState> state =
        opened.ok() ? (*opened)->Load() : Result<StoredState>(opened.status());
    if (!state.ok()) {
      ++refused;
      EXPECT_EQ(state.status().code(), ErrorCode::kDataLoss) << state.status().message();
      continue;
    }
    EXPECT_EQ(state->intent.services.at(0)->backends.at(0)->spec.weight, 148U) << "round " << round;
    EXPECT_EQ(state->generation, 8U);
  }
  EXPECT_GT(refused, 100);
  // If the operator accepts the older store, it opens, and later opens without that option.
  CopyAs("copy.db");
  WriteAll(directory_.File("copy.db-wal"), log.substr(0, log.size() / 2));
  EXPECT_THAT(LoadError("copy.db").message(), HasSubstr("generation 8) is missing"));
  for (const bool accept : {true, false}) {
    Result<std::unique_ptr<Store>> opened = Store::Open(directory_.File("copy.db"), accept);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    EXPECT_TRUE((*opened)->Load().ok());
  }
}

TEST_F(StoreTest, IgnoresADamagedAcknowledgedFile) {
  {
    const std::unique_ptr<Store> store = Open();
    Fill(store.get());
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction->AddChange(4, 1004).ok());
    ASSERT_TRUE(transaction->Commit().ok());
  }
  for (const std::string& content :
       {std::string(), std::string(32, 'x'), std::string(5000, '\0')}) {
    WriteAll(directory_.File("store.db.acknowledged"), content);
    const Result<StoredState> state = Open()->Load();
    ASSERT_TRUE(state.ok()) << state.status().message();
    ExpectFilled(*state);
  }
}

// One page is from an earlier time. Its rows have correct checksums.
TEST_F(StoreTest, RefusesAPageFromAnEarlierTime) {
  Fill(Open().get());
  const std::string before = ReadAll(directory_.File("store.db"));
  {
    const std::unique_ptr<Store> store = Open();
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(PutBackendRow(&transaction->database(), "web", BackendWithWeight(101, 149)).ok());
    ASSERT_TRUE(transaction->PutStatus(102, {.health = {HealthState::kHealthy, 6000, {}}}).ok());
    ASSERT_TRUE(DeleteDrainRow(&transaction->database(), 101).ok());
    ASSERT_TRUE(transaction->SetGeneration(4).ok());
    ASSERT_TRUE(transaction->Commit().ok());
  }
  const std::string after = ReadAll(directory_.File("store.db"));
  ASSERT_EQ(before.size(), after.size());
  int changed = 0;
  for (size_t page = 4096; page < after.size(); page += 4096) {
    if (after.compare(page, 4096, before, page, 4096) == 0) continue;
    ++changed;
    std::string stale = after;
    stale.replace(page, 4096, before, page, 4096);
    WriteAll(directory_.File("stale.db"), stale);
    EXPECT_EQ(LoadError("stale.db").code(), ErrorCode::kDataLoss) << "page " << page / 4096;
  }
  EXPECT_GE(changed, 3);
}

TEST_F(StoreTest, RefusesAnEmptyFile) {
  WriteAll(directory_.File("empty.db"), "");
  const Status status = LoadError("empty.db");
  EXPECT_EQ(status.code(), ErrorCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("is empty, so it is not a store"));
}

TEST_F(StoreTest, RefusesLinksAndFifos) {
  for (const std::string suffix : {"", "-journal", "-wal", "-shm"}) {
    const std::string path = directory_.File("planted.db" + suffix);
    ASSERT_EQ(::mkfifo(path.c_str(), 0666), 0);
    EXPECT_THAT(LoadError("planted.db").message(), HasSubstr("is not a regular file")) << suffix;
    std::filesystem::remove(path);
    std::filesystem::create_symlink(directory_.File("nowhere"), path);
    EXPECT_THAT(LoadError("planted.db").message(), HasSubstr("is a symbolic link")) << suffix;
    std::filesystem::remove(path);
  }
  EXPECT_FALSE(std::filesystem::exists(directory_.File("nowhere")));
}

TEST_F(StoreTest, HasMode0640WhateverTheUmaskIs) {
  const mode_t old = ::umask(0);
  Fill(Open().get());
  ::umask(old);
  EXPECT_EQ(std::filesystem::status(directory_.File("store.db")).permissions(),
            static_cast<std::filesystem::perms>(0640));
  EXPECT_FALSE(std::filesystem::exists(directory_.File("store.db.new")));
}

TEST_F(StoreTest, KnowsItsRecentChangesAndNoOthers) {
  {
    const std::unique_ptr<Store> store = Open();
    Fill(store.get());
    Result<Store::Transaction> transaction = store->Begin();
    for (uint64_t i = 1; i <= 10'005; ++i) {
      ASSERT_TRUE(transaction->AddChange(i, 1'000'000 + i).ok());
    }
    ASSERT_TRUE(transaction->Commit().ok());
  }
  const std::unique_ptr<Store> store = Open();
  EXPECT_EQ(store->Load()->intent.change_id, 1'010'005U);
  EXPECT_TRUE(*store->KnowsChange(1'000'006, 6));
  EXPECT_FALSE(*store->KnowsChange(77, 6)) << "this change is of another store";
  EXPECT_TRUE(*store->KnowsChange(1'000'001, 1)) << "changes too old to be kept count as known";
}

// Writes a store as the programs with that schema did: service web with a drain that has ended, a
// running drain, and one health state.
class OldStoreTest : public StoreTest, public testing::WithParamInterface<int> {
 protected:
  // A checksum is XXH3-64 of the columns, each with its length before it.
  static int64_t Checksum(const std::vector<std::string>& columns) {
    std::string text;
    for (const std::string& column : columns) {
      text += std::to_string(column.size()) + ":" + column;
    }
    return static_cast<int64_t>(XXH3_64bits(text.data(), text.size()));
  }
  void Insert(const std::string& table, const std::string& kind,
              const std::vector<std::string>& columns) {
    std::vector<std::string> summed = columns;
    summed.insert(summed.begin(), kind);
    const int64_t checksum = Checksum(summed);
    std::string sql = "INSERT INTO " + table + " VALUES (";
    for (const std::string& column : columns) sql += "'" + column + "', ";
    const Status inserted = database_->Execute((sql + std::to_string(checksum) + ")").c_str());
    ASSERT_TRUE(inserted.ok()) << inserted.message();
    sum_ += static_cast<uint64_t>(checksum);
  }
  void WriteOldStore(int version) {
    Result<SqliteDatabase> database = SqliteDatabase::Open(directory_.File("store.db"));
    ASSERT_TRUE(database.ok());
    database_ = &*database;
    ASSERT_TRUE(
        database_
            ->Execute(
                "PRAGMA journal_mode=WAL; PRAGMA application_id=1179796556;"
                "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, "
                "                   checksum INTEGER NOT NULL);"
                "CREATE TABLE services (name TEXT PRIMARY KEY, id INTEGER NOT NULL UNIQUE, "
                "                       spec TEXT NOT NULL, checksum INTEGER NOT NULL);"
                "CREATE TABLE backends (id INTEGER PRIMARY KEY, service TEXT NOT NULL, "
                "                       endpoint TEXT NOT NULL, spec TEXT NOT NULL, "
                "                       checksum INTEGER NOT NULL, UNIQUE (service, endpoint));"
                "CREATE TABLE drains (backend_id INTEGER PRIMARY KEY, started_ms INTEGER NOT NULL,"
                "                     deadline_ms INTEGER NOT NULL, finished_ms INTEGER NOT NULL,"
                "                     reason TEXT NOT NULL, checksum INTEGER NOT NULL);"
                "CREATE TABLE health (backend_id INTEGER PRIMARY KEY, state INTEGER NOT NULL,"
                "                     since_ms INTEGER NOT NULL, reason TEXT NOT NULL, "
                "                     checksum INTEGER NOT NULL);"
                "CREATE TABLE changes (generation INTEGER PRIMARY KEY, id INTEGER NOT NULL, "
                "                      checksum INTEGER NOT NULL)")
            .ok());
    Insert("meta", "meta", {"generation", "9"});
    Insert("meta", "meta", {"intent_generation", "7"});
    Insert("meta", "meta", {"hash_seed", "77"});
    Insert("services", "service",
           {"web", "11",
            R"({"name":"web","frontends":["203.0.113.10:80/tcp"],"drain_timeout":"60s"})"});
    for (const std::string n : {"1", "2", "3"}) {
      Insert("backends", "backend",
             {"10" + n, "web", "10.0.0." + n, R"({"address":"10.0.0.)" + n + R"(","weight":5})"});
    }
    Insert("drains", "drain", {"101", "1000", "61000", "0", ""});
    Insert("drains", "drain",
           {"102", "1000", "2000", "2000", "deadline passed; flows that remain are kept"});
    Insert("health", "health", {"103", "2", "5000", "Connection refused"});
    if (version == 1) {
      ASSERT_TRUE(database_->Execute("DROP TABLE changes; PRAGMA user_version=1").ok());
      for (const auto& [table, count] :
           {std::pair("services", "1"), {"backends", "3"}, {"drains", "2"}, {"health", "1"}}) {
        Insert("meta", "meta", {std::string(table) + "_count", count});
      }
    } else {
      Insert("changes", "change", {"7", "1007"});
      Insert("meta", "meta", {"digest", std::to_string(sum_)});
      ASSERT_TRUE(database_->Execute("PRAGMA user_version=2").ok());
    }
    database_ = nullptr;
  }

  SqliteDatabase* database_ = nullptr;
  uint64_t sum_ = 0;
};

TEST_P(OldStoreTest, IsMigratedAndACopyIsKept) {
  WriteOldStore(GetParam());
  for (int i = 0; i < 2; ++i) {
    const std::unique_ptr<Store> store = Open();
    ASSERT_NE(store, nullptr);
    const Result<StoredState> state = store->Load();
    ASSERT_TRUE(state.ok()) << state.status().message();
    EXPECT_EQ(state->generation, 9U);
    EXPECT_EQ(state->intent.revision, 7U);
    EXPECT_EQ(state->intent.hash_seed, 77U);
    const ServiceIntent& web = *state->intent.services.at(0);
    ASSERT_EQ(web.backends.size(), 3U);
    EXPECT_EQ(web.backends[0]->drain, (DrainIntent{7, 1000, 61'000}));
    EXPECT_FALSE(state->status.at(101).drain.finished());
    EXPECT_EQ(state->status.at(102).drain.end, DrainEnd::kDeadlinePassed);
    EXPECT_TRUE(state->status.at(102).drain.flows_kept);
    EXPECT_EQ(state->status.at(102).drain.finished_ms, 2000);
    EXPECT_EQ(state->status.at(103).health.state, HealthState::kUnhealthy);
    EXPECT_EQ(state->intent.change_id, GetParam() == 2 ? 1007U : 0U);
  }
  // The copy is the old store. It can be migrated too.
  const std::string copy = "store.db.schema-" + std::to_string(GetParam());
  ASSERT_TRUE(std::filesystem::exists(directory_.File(copy)));
  EXPECT_EQ(Open(copy)->Load()->generation, 9U);
}

TEST_P(OldStoreTest, IsRefusedWhereARowIsMissingOrDamaged) {
  WriteOldStore(GetParam());
  const std::string good = ReadAll(directory_.File("store.db"));
  for (const char* sql : {"DELETE FROM backends WHERE id = 103",
                          "UPDATE drains SET reason = 'no flows remain' WHERE backend_id = 102",
                          "UPDATE backends SET spec = replace(spec, '5', '6') WHERE id = 101",
                          "UPDATE health SET state = 1"}) {
    WriteAll(directory_.File("damaged.db"), good);
    Result<SqliteDatabase> database = SqliteDatabase::Open(directory_.File("damaged.db"));
    ASSERT_TRUE(database.ok() && database->Execute(sql).ok());
    database = Internal("closed");
    EXPECT_EQ(LoadError("damaged.db").code(), ErrorCode::kDataLoss) << sql;
    // The refused store is not changed.
    Result<SqliteDatabase> again = SqliteDatabase::Open(directory_.File("damaged.db"));
    EXPECT_EQ(*again->QueryInteger("PRAGMA user_version"), GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Schemas, OldStoreTest, testing::Values(1, 2),
                         [](const auto& row) { return "Schema" + std::to_string(row.param); });

TEST_F(StoreTest, DeletesTheOldestHistoryFirst) {
  const std::unique_ptr<Store> store = Open();
  const auto add = [&](uint64_t revision, size_t bytes) {
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(transaction->AddHistory({revision, 1000, "root", std::string(bytes, 'x')}).ok());
    ASSERT_TRUE(transaction->Commit().ok());
  };
  for (uint64_t revision = 1; revision <= 40; ++revision) add(revision, 1 << 20);
  EXPECT_EQ(*store->OldestRevision(), 9U) << "at most 32 MiB must be kept";
  add(41, 40 << 20);
  EXPECT_EQ(*store->OldestRevision(), 41U) << "the newest entry must stay, however large it is";
  Result<std::vector<HistoryEntry>> entries = store->History(1, 10);
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 1U);
  EXPECT_EQ((*entries)[0].revision, 41U);
}

TEST_F(StoreTest, AnEarlierGenerationDoesNotReplaceALaterOne) {
  const std::unique_ptr<Store> store = Open();
  for (const uint64_t generation : {5U, 4U}) {
    Result<Store::Transaction> transaction = store->Begin(Durability::kInMemory);
    ASSERT_TRUE(transaction->SetGeneration(generation).ok());
    ASSERT_TRUE(transaction->Commit().ok());
  }
  EXPECT_EQ(store->Load()->generation, 5U);
}

TEST_F(StoreTest, ABackupCanBeOpenedAsAStore) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  const Result<std::string> bytes = store->Backup();
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  WriteAll(directory_.File("backup.db"), *bytes);
  const Result<StoredState> state = Open("backup.db")->Load();
  ASSERT_TRUE(state.ok()) << state.status().message();
  ExpectFilled(*state);
}

TEST_F(StoreTest, RefusesATruncatedFile) {
  Fill(Open().get());
  const std::string bytes = ReadAll(directory_.File("store.db"));
  for (const size_t length : {bytes.size() - 1, bytes.size() / 2, size_t{4096}, size_t{100}}) {
    WriteAll(directory_.File("cut.db"), bytes.substr(0, length));
    const Status status = LoadError("cut.db");
    EXPECT_FALSE(status.ok()) << "cut to " << length << " of " << bytes.size();
  }
}

// Each flipped bit is refused, or is in bytes that the store does not use.
TEST_F(StoreTest, NeverLoadsDifferentContentFromABitFlippedFile) {
  Fill(Open().get());
  const std::string bytes = ReadAll(directory_.File("store.db"));
  std::mt19937 random(kSeed);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string flipped = bytes;
    const size_t position = random() % bytes.size();
    flipped[position] = static_cast<char>(flipped[position] ^ (1 << (random() % 8)));
    WriteAll(directory_.File("flip.db"), flipped);
    Result<std::unique_ptr<Store>> store = Store::Open(directory_.File("flip.db"));
    if (!store.ok()) {
      ++refused;
      continue;
    }
    const Result<StoredState> state = (*store)->Load();
    if (!state.ok()) {
      ++refused;
      continue;
    }
    SCOPED_TRACE("seed " + std::to_string(kSeed) + " byte " + std::to_string(position));
    ExpectFilled(*state);
  }
  EXPECT_GT(refused, 0);
}

TEST_F(StoreTest, RefusesEveryFlippedBitInsideAStoredSpec) {
  Fill(Open().get());
  const std::string bytes = ReadAll(directory_.File("store.db"));
  const size_t begin = bytes.find(R"("drain_timeout":"60s")");
  ASSERT_NE(begin, std::string::npos);
  for (size_t i = begin; i < begin + 21; ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 1);
    WriteAll(directory_.File("flip.db"), flipped);
    EXPECT_EQ(LoadError("flip.db").code(), ErrorCode::kDataLoss) << i - begin;
  }
}

TEST_F(StoreTest, RefusesARowThatIsMissing) {
  Fill(Open().get());
  {
    Result<SqliteDatabase> database = SqliteDatabase::Open(directory_.File("store.db"));
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->Execute("DELETE FROM backends WHERE id = 103").ok());
  }
  const Status status = LoadError("store.db");
  EXPECT_EQ(status.code(), ErrorCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("the digest of all rows"));
}

TEST_F(StoreTest, RefusesAnotherProgramsDatabaseAndLeavesItAlone) {
  const std::string path = directory_.File("other.db");
  {
    Result<SqliteDatabase> database = SqliteDatabase::Open(path);
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->Execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)").ok());
  }
  const std::string before = ReadAll(path);
  EXPECT_EQ(LoadError("other.db").code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReadAll(path), before);
}

TEST_F(StoreTest, RefusesAFileThatIsNoDatabase) {
  WriteAll(directory_.File("text.db"), std::string(8192, 'x'));
  EXPECT_EQ(LoadError("text.db").code(), ErrorCode::kDataLoss);
}

TEST_F(StoreTest, RefusesTheFileOfAnotherUserWithTheCommandThatHelps) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  Fill(Open().get());
  const std::string path = directory_.File("store.db");
  ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
  EXPECT_EQ(LoadError("store.db").code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(LoadError("store.db").message(), HasSubstr("(chown 0 " + path + ")"));
}

TEST_F(StoreTest, SecondProcessOnTheSameStoreIsRefused) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  const Status status = LoadError("store.db");
  EXPECT_EQ(status.code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("store.db: in use by another process"));
  EXPECT_THAT(status.message(), HasSubstr("stop the other fairleadd, or choose another --store"));
}

TEST_F(StoreTest, OtherUsersCannotReadTheFile) {
  Fill(Open().get());
  const auto mode = std::filesystem::status(directory_.File("store.db")).permissions();
  EXPECT_EQ(mode & std::filesystem::perms::others_all, std::filesystem::perms::none);
}

}  // namespace
}  // namespace fairlead
