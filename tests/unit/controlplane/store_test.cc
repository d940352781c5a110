#include "controlplane/core/store.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <sys/stat.h>

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

class StoreTest : public testing::Test {
 protected:
  std::unique_ptr<Store> Open(const std::string& name = "store.db") {
    Result<std::unique_ptr<Store>> store = Store::Open(directory_.File(name));
    EXPECT_TRUE(store.ok()) << store.status().message();
    return store.ok() ? *std::move(store) : nullptr;
  }

  // One service, three backends, a drain and a health verdict, at generation 3.
  static void Fill(Store* store) {
    const ServiceSpec service = ParseServiceSpec(
        R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"], "drain_timeout": "60s"})");
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(transaction->PutService(11, service).ok());
    for (uint32_t i = 1; i <= 3; ++i) {
      const BackendSpec backend =
          ParseBackendSpec(R"({"address": "10.0.0.)" + std::to_string(i) + R"(", "weight": 5})");
      ASSERT_TRUE(transaction->PutBackend(100 + i, "web", backend).ok());
    }
    ASSERT_TRUE(transaction->PutDrain(101, {1000, 61'000, 0, ""}).ok());
    ASSERT_TRUE(transaction->PutHealth(102, {HealthState::kUnhealthy, 5000, "refused"}).ok());
    ASSERT_TRUE(transaction->SetGeneration(3).ok());
    ASSERT_TRUE(transaction->SetIntentGeneration(3).ok());
    ASSERT_TRUE(transaction->SetHashSeed(0xfedcba9876543210).ok());
    ASSERT_TRUE(transaction->Commit().ok());
  }

  static void ExpectFilled(const StoredState& state) {
    EXPECT_EQ(state.generation, 3U);
    EXPECT_EQ(state.intent_generation, 3U);
    EXPECT_EQ(state.hash_seed, 0xfedcba9876543210);
    ASSERT_EQ(state.services.size(), 1U);
    const StoredService& service = state.services[0];
    EXPECT_EQ(service.id, 11U);
    EXPECT_EQ(service.spec.name, "web");
    EXPECT_EQ(service.spec.drain_timeout_ms, 60'000U);
    ASSERT_EQ(service.backends.size(), 3U);
    EXPECT_EQ(service.backends[0].id, 101U);
    EXPECT_EQ(service.backends[0].spec.endpoint.ToString(), "10.0.0.1");
    EXPECT_EQ(service.backends[0].spec.weight, 5U);
    EXPECT_EQ(service.backends[0].drain, (DrainRecord{1000, 61'000, 0, ""}));
    EXPECT_EQ(service.backends[1].health, (Health{HealthState::kUnhealthy, 5000, "refused"}));
    EXPECT_EQ(service.backends[2].drain, std::nullopt);
  }

  // The store's files as they are now, under another name.
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
  EXPECT_EQ(one->intent_generation, 0U);
  EXPECT_TRUE(one->services.empty());
  EXPECT_NE(one->hash_seed, two->hash_seed);
}

TEST_F(StoreTest, GivesBackWhatWasCommittedAfterReopening) {
  Fill(Open().get());
  const Result<StoredState> state = Open()->Load();
  ASSERT_TRUE(state.ok()) << state.status().message();
  ExpectFilled(*state);
}

TEST_F(StoreTest, TransactionThatIsNotCommittedLeavesNothing) {
  Fill(Open().get());
  const std::unique_ptr<Store> store = Open();
  {
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(transaction->DeleteBackend(101).ok());
    ASSERT_TRUE(transaction->SetGeneration(4).ok());
  }
  const Result<StoredState> state = store->Load();
  ASSERT_TRUE(state.ok());
  ExpectFilled(*state);
}

TEST_F(StoreTest, DeletedBackendTakesItsDrainAndHealthAlong) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  Result<Store::Transaction> transaction = store->Begin();
  ASSERT_TRUE(transaction.ok());
  for (const uint32_t id : {101U, 102U, 103U}) ASSERT_TRUE(transaction->DeleteBackend(id).ok());
  ASSERT_TRUE(transaction->DeleteService("web").ok());
  ASSERT_TRUE(transaction->Commit().ok());
  const Result<StoredState> state = store->Load();
  ASSERT_TRUE(state.ok()) << state.status().message();
  EXPECT_TRUE(state->services.empty());
}

// What kill -9 leaves: the files as they are at some moment, with the log not folded in.
TEST_F(StoreTest, CopyTakenWhileOpenHoldsAllThatWasCommitted) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  Result<Store::Transaction> open_transaction = store->Begin();
  ASSERT_TRUE(open_transaction.ok());
  ASSERT_TRUE(open_transaction->DeleteBackend(101).ok());
  CopyAs("copy.db");
  const Result<StoredState> state = Open("copy.db")->Load();
  ASSERT_TRUE(state.ok()) << state.status().message();
  ExpectFilled(*state);
}

// A log that was cut inside frames that nobody was told of holds none of them, and all before.
TEST_F(StoreTest, LogCutInsideATransactionLosesThatTransactionWhole) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  const size_t committed = ReadAll(directory_.File("store.db-wal")).size();
  Result<Store::Transaction> transaction = store->Begin();
  ASSERT_TRUE(transaction.ok());
  for (const uint32_t id : {101U, 102U, 103U}) ASSERT_TRUE(transaction->DeleteBackend(id).ok());
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

// SQLite reads a damaged log up to the damage, without a word.
TEST_F(StoreTest, RefusesWhatADamagedLogHasUndone) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  for (uint64_t generation = 4; generation <= 8; ++generation) {
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    const std::string weight = std::to_string(140 + generation);
    ASSERT_TRUE(
        transaction
            ->PutBackend(101, "web",
                         ParseBackendSpec(R"({"address": "10.0.0.1", "weight": )" + weight + "}"))
            .ok());
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
    EXPECT_EQ(state->services.at(0).backends.at(0).spec.weight, 148U) << "round " << round;
    EXPECT_EQ(state->generation, 8U);
  }
  EXPECT_GT(refused, 100);
  // With a person's word it is taken as it is, and from then on.
  CopyAs("copy.db");
  WriteAll(directory_.File("copy.db-wal"), log.substr(0, log.size() / 2));
  EXPECT_THAT(LoadError("copy.db").message(), HasSubstr("generation 8) is not in it"));
  for (const bool accept : {true, false}) {
    Result<std::unique_ptr<Store>> opened = Store::Open(directory_.File("copy.db"), accept);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    EXPECT_TRUE((*opened)->Load().ok());
  }
}

TEST_F(StoreTest, ADamagedNoteOfTheLastChangeIsNoObstacle) {
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

// A page of an earlier moment, with rows that are right in themselves.
TEST_F(StoreTest, RefusesAPageOfAnEarlierMoment) {
  Fill(Open().get());
  const std::string before = ReadAll(directory_.File("store.db"));
  {
    const std::unique_ptr<Store> store = Open();
    Result<Store::Transaction> transaction = store->Begin();
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(
        transaction
            ->PutBackend(101, "web", ParseBackendSpec(R"({"address": "10.0.0.1", "weight": 149})"))
            .ok());
    ASSERT_TRUE(transaction->PutHealth(102, {HealthState::kHealthy, 6000, "passes"}).ok());
    ASSERT_TRUE(transaction->DeleteDrain(101).ok());
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
  EXPECT_THAT(status.message(), HasSubstr("is empty, which no store ever is"));
}

TEST_F(StoreTest, LeavesAloneWhatIsNoFileOfOurs) {
  for (const std::string suffix : {"", "-journal", "-wal", "-shm"}) {
    const std::string path = directory_.File("planted.db" + suffix);
    ASSERT_EQ(::mkfifo(path.c_str(), 0666), 0);
    EXPECT_THAT(LoadError("planted.db").message(), HasSubstr("is no regular file")) << suffix;
    std::filesystem::remove(path);
    std::filesystem::create_symlink(directory_.File("nowhere"), path);
    EXPECT_THAT(LoadError("planted.db").message(), HasSubstr("is a symbolic link")) << suffix;
    std::filesystem::remove(path);
  }
  EXPECT_FALSE(std::filesystem::exists(directory_.File("nowhere")));
}

TEST_F(StoreTest, HasItsModeWhateverTheUmaskIs) {
  const mode_t old = ::umask(0);
  Fill(Open().get());
  ::umask(old);
  EXPECT_EQ(std::filesystem::status(directory_.File("store.db")).permissions(),
            static_cast<std::filesystem::perms>(0640));
  EXPECT_FALSE(std::filesystem::exists(directory_.File("store.db.new")));
}

TEST_F(StoreTest, RemembersChangesAndNoOthers) {
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
  EXPECT_EQ(store->Load()->change_id, 1'010'005U);
  EXPECT_TRUE(*store->KnowsChange(1'000'006, 6));
  EXPECT_FALSE(*store->KnowsChange(77, 6)) << "of another store";
  EXPECT_TRUE(*store->KnowsChange(1'000'001, 1)) << "older than what is remembered";
}

TEST_F(StoreTest, TakesOverAStoreOfVersion1) {
  Fill(Open().get());
  {
    Result<SqliteDatabase> database = SqliteDatabase::Open(directory_.File("store.db"));
    ASSERT_TRUE(database.ok());
    // As version 1 was: a log, counts, no digest, no changes. A checksum is XXH3-64 of the row.
    ASSERT_TRUE(database
                    ->Execute("PRAGMA journal_mode=WAL; DROP TABLE changes; "
                              "DELETE FROM meta WHERE key = 'digest'; PRAGMA user_version=1")
                    .ok());
    for (const auto& [key, count] : {std::pair("services", 1), std::pair("backends", 3),
                                     std::pair("drains", 1), std::pair("health", 1)}) {
      const std::string name = std::string(key) + "_count";
      const std::string value = std::to_string(count);
      const std::string text = "4:meta" + std::to_string(name.size()) + ":" + name +
                               std::to_string(value.size()) + ":" + value;
      Result<SqliteStatement> statement = database->Prepare("INSERT INTO meta VALUES (?, ?, ?)");
      ASSERT_TRUE(statement.ok());
      statement->Bind(name).Bind(value).Bind(
          static_cast<int64_t>(XXH3_64bits(text.data(), text.size())));
      ASSERT_TRUE(statement->Run().ok());
    }
  }
  for (int i = 0; i < 2; ++i) {
    const std::unique_ptr<Store> store = Open();
    ASSERT_NE(store, nullptr);
    const Result<StoredState> state = store->Load();
    ASSERT_TRUE(state.ok()) << state.status().message();
    ExpectFilled(*state);
  }
}

TEST_F(StoreTest, ABackupIsAStore) {
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

// Every flip is refused, or lies where nothing of ours is and changes nothing.
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

TEST_F(StoreTest, RefusesAFutureVersion) {
  Fill(Open().get());
  {
    Result<SqliteDatabase> database = SqliteDatabase::Open(directory_.File("store.db"));
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->Execute("PRAGMA user_version=3").ok());
  }
  const Status status = LoadError("store.db");
  EXPECT_EQ(status.code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("schema version 3"));
}

TEST_F(StoreTest, RefusesAnotherProgramsDatabaseAndLeavesItAlone) {
  const std::string path = directory_.File("other.db");
  {
    Result<SqliteDatabase> database = SqliteDatabase::Open(path);
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->Execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)").ok());
  }
  const std::string before = ReadAll(path);
  EXPECT_EQ(LoadError("other.db").code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(ReadAll(path), before);
}

TEST_F(StoreTest, RefusesAFileThatIsNoDatabase) {
  WriteAll(directory_.File("text.db"), std::string(8192, 'x'));
  EXPECT_EQ(LoadError("text.db").code(), ErrorCode::kDataLoss);
}

TEST_F(StoreTest, SecondProcessOnTheSameStoreIsRefused) {
  const std::unique_ptr<Store> store = Open();
  Fill(store.get());
  EXPECT_EQ(LoadError("store.db").code(), ErrorCode::kFailedPrecondition);
}

TEST_F(StoreTest, FileIsNotForEverybodysEyes) {
  Fill(Open().get());
  const auto mode = std::filesystem::status(directory_.File("store.db")).permissions();
  EXPECT_EQ(mode & std::filesystem::perms::others_all, std::filesystem::perms::none);
}

}  // namespace
}  // namespace fairlead
