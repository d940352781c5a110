#include "dataplane/manage/state_files.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/manage/fixture.h"

namespace fairlead {
namespace {

using ::testing::HasSubstr;
using testing::PagesOf;
using testing::PresentPages;
using testing::TemporaryFolder;
using testing::WebInput;

constexpr uint64_t kRecords = 1024;
constexpr uint32_t kIdle = 1000;

uint64_t BlocksOf(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return static_cast<uint64_t>(info.st_blocks);
}

class FlowFileTest : public ::testing::Test {
 protected:
  // Starts as a process does that gets tables which need the flow table.
  void Start(uint64_t records = kRecords) {
    ASSERT_NO_FATAL_FAILURE(StartOnly(records));
    const Status present = MakeFlowsPresent(records, &*memory_);
    ASSERT_TRUE(present.ok()) << present.message();
  }
  void StartOnly(uint64_t records = kRecords) {
    memory_.reset();
    Result<FlowMemory> memory = FlowMemory::Open(place_, FlowTable::BytesNeeded(records));
    ASSERT_TRUE(memory.ok()) << memory.status().message();
    memory_.emplace(*std::move(memory));
    Result<FlowTable> table = OpenFlowTable(records, &*memory_);
    ASSERT_TRUE(table.ok());
    table_.emplace(*table);
  }
  bool Has(const RecordKey& key) const {
    FlowTable::Handle handle;
    return table_->Find(key, &handle);
  }
  void Put(const RecordKey& key) {
    ASSERT_EQ(table_->Insert(key, {3, 100, 0}, kIdle), FlowTable::InsertResult::kStored);
  }
  std::string Path() const { return folder_ / "dataplane.flows"; }
  void Poke(std::streamoff at, uint8_t value) const {
    std::fstream file(Path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.put(static_cast<char>(value));
  }

  TemporaryFolder folder_;
  FlowMemory::Place place_{folder_ / "", "dataplane.flows", "fairlead-test-unused.flows", 5};
  std::optional<FlowMemory> memory_;
  std::optional<FlowTable> table_;
  static constexpr RecordKey kKey{77, 5};
};

TEST_F(FlowFileTest, SurvivesTheProcess) {
  Start();
  EXPECT_FALSE(memory_->has_table());
  Put(kKey);
  Start();
  EXPECT_TRUE(memory_->has_table());
  EXPECT_TRUE(Has(kKey));
  EXPECT_EQ(table_->capacity_records(), kRecords);
}

TEST_F(FlowFileTest, StartsEmptyAndSaysWhyWhenTheFileCannotBeUsed) {
  struct Row {
    const char* name;
    std::streamoff at;
    uint8_t value;
    const char* why;
  };
  for (const Row& row : {Row{"magic", 0, 0x13, "wrong magic number"},
                         Row{"layout version", 8, 2, "layout version 2, not 1"},
                         Row{"epoch", 16, 6, "older than the host's last boot"},
                         Row{"table size", 24, 1, "another size"}}) {
    SCOPED_TRACE(row.name);
    Start();
    if (!Has(kKey)) Put(kKey);
    memory_.reset();
    Poke(row.at, row.value);
    Start();
    EXPECT_FALSE(memory_->has_table());
    EXPECT_THAT(memory_->placement_reason(), HasSubstr(row.why));
    EXPECT_FALSE(Has(kKey));
    // The next process finds the new table.
    Put(kKey);
    Start();
    EXPECT_TRUE(Has(kKey));
  }
}

TEST_F(FlowFileTest, StartsEmptyWhenTheTableInItIsDamaged) {
  Start();
  Put(kKey);
  memory_.reset();
  Poke(4096, 0x13);  // the table's own magic
  Start();
  EXPECT_FALSE(Has(kKey));
  Put(kKey);
  Start();
  EXPECT_TRUE(Has(kKey));
}

TEST_F(FlowFileTest, StartsEmptyWithAnotherSize) {
  for (const uint64_t records : {4 * kRecords, kRecords}) {
    Start();
    Start(records);
    EXPECT_EQ(table_->capacity_records(), records);
    EXPECT_FALSE(Has(kKey));
    Put(kKey);
    EXPECT_EQ(std::filesystem::file_size(Path()), 4096 + FlowTable::BytesNeeded(records) + 4032);
  }
}

TEST_F(FlowFileTest, IgnoresATableThatWasNeverFinished) {
  Result<FlowMemory> memory = FlowMemory::Open(place_, FlowTable::BytesNeeded(kRecords));
  ASSERT_TRUE(memory.ok());
  // The process dies here.
  { const FlowMemory dead = *std::move(memory); }
  Start();
  EXPECT_FALSE(memory_->has_table());
}

TEST_F(FlowFileTest, DoesNotUseTheTableOfARunningProcess) {
  Start();
  Put(kKey);
  Result<FlowMemory> second = FlowMemory::Open(place_, FlowTable::BytesNeeded(kRecords));
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->path().empty());
  EXPECT_THAT(second->placement_reason(), HasSubstr("in use by another process"));
  EXPECT_TRUE(OpenFlowTable(kRecords, &*second).ok());
  EXPECT_TRUE(MakeFlowsPresent(kRecords, &*second).ok());
  EXPECT_TRUE(Has(kKey));
}

TEST_F(FlowFileTest, AllocatesNoMemoryBeforeItIsNeededAndThenAllOfIt) {
  constexpr uint64_t kMany = 1U << 18;  // 4 MiB
  StartOnly(kMany);
  EXPECT_FALSE(memory_->is_present());
  EXPECT_EQ(PresentPages(memory_->bytes()), 0U);
  EXPECT_EQ(BlocksOf(Path()), 0U);
  ASSERT_TRUE(MakeFlowsPresent(kMany, &*memory_).ok());
  EXPECT_EQ(PresentPages(memory_->bytes()), PagesOf(memory_->bytes()));
  EXPECT_GE(BlocksOf(Path()) * 512, FlowTable::BytesNeeded(kMany));
  Put(kKey);
  Start(kMany);  // an existing table is present at once
  EXPECT_TRUE(memory_->has_table());
  EXPECT_EQ(PresentPages(memory_->bytes()), PagesOf(memory_->bytes()));
  EXPECT_TRUE(Has(kKey));
}

TEST_F(FlowFileTest, IsNewAgainAfterAProcessThatDidNotNeedIt) {
  StartOnly();
  StartOnly();
  EXPECT_TRUE(memory_->is_new());
  EXPECT_THAT(memory_->placement_reason(), HasSubstr("is new"));
  ASSERT_TRUE(MakeFlowsPresent(kRecords, &*memory_).ok());
  Put(kKey);
  EXPECT_TRUE(Has(kKey));
}

TEST_F(FlowFileTest, IsInPrivateMemoryWhereTheFolderIsFull) {
  StartOnly();
  // A limit on the size of files stands for a full folder.
  std::filesystem::resize_file(Path(), 4096);
  const struct rlimit none = {4096, RLIM_INFINITY};
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  const Status present = MakeFlowsPresent(kRecords, &*memory_);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_TRUE(present.ok()) << present.message();
  EXPECT_TRUE(memory_->path().empty());
  EXPECT_THAT(memory_->placement_reason(), HasSubstr("no space for"));
  EXPECT_FALSE(std::filesystem::exists(Path()));
  EXPECT_EQ(PresentPages(memory_->bytes()), PagesOf(memory_->bytes()));
  Put(kKey);
  EXPECT_TRUE(Has(kKey));
}

TEST(FlowMemory, PrivateMemoryIsAllocatedWhenItIsNeeded) {
  Result<FlowMemory> memory = FlowMemory::Allocate(size_t{4} << 20);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(PresentPages(memory->bytes()), 0U);
  int parts = 0;  // of at most 1 GiB
  ASSERT_TRUE(memory->MakePresent([&] { ++parts; }).ok());
  EXPECT_EQ(parts, 1);
  EXPECT_EQ(PresentPages(memory->bytes()), PagesOf(memory->bytes()));
}

TEST_F(FlowFileTest, NeverPreventsAStart) {
  std::filesystem::create_directory(Path());
  Start();
  EXPECT_TRUE(memory_->path().empty());
  std::filesystem::remove(Path());
  std::filesystem::create_symlink(folder_ / "elsewhere", Path());
  Start();
  EXPECT_TRUE(memory_->path().empty());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "elsewhere"));
  place_.folder = folder_ / "is/not/there";
  Start();
  EXPECT_TRUE(memory_->path().empty());
  Put(kKey);
}

// Bytes of the mapping of `bytes` that are on huge pages.
size_t HugeBytes(std::span<const std::byte> bytes) {
  const auto wanted = reinterpret_cast<uintptr_t>(bytes.data());
  std::ifstream maps("/proc/self/smaps");
  bool within = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t first = 0;
    uintptr_t end = 0;
    size_t kilobytes = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &first, &end) == 2) {
      within = first <= wanted && wanted < end;
    } else if (within && std::sscanf(line.c_str(), "ShmemPmdMapped: %zu", &kilobytes) == 1) {
      return kilobytes << 10;
    }
  }
  return 0;
}

TEST_F(FlowFileTest, IsOnHugePagesWhereATmpfsOffersThem) {
  constexpr uint64_t kRecordsOf4Mb = (uint64_t{4} << 20) / 16;
  bool mounted = false;
  // The mount is in a namespace of the thread, and ends with it.
  std::thread thread([&] {
    mounted = unshare(CLONE_NEWNS) == 0 &&
              mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              mount("none", place_.folder.c_str(), "tmpfs", 0, "huge=advise") == 0;
    if (!mounted) return;
    Start(kRecordsOf4Mb);
    Put(kKey);
    EXPECT_GE(HugeBytes(memory_->bytes()), kRecordsOf4Mb * 16);
    Start(kRecordsOf4Mb);
    EXPECT_TRUE(Has(kKey));
    EXPECT_GE(HugeBytes(memory_->bytes()), kRecordsOf4Mb * 16);
  });
  thread.join();
  if (!mounted) GTEST_SKIP() << "cannot mount, or the kernel has no huge pages for files";
}

class SlotFilesTest : public testing::TablesFixture {
 protected:
  void Save() { ASSERT_TRUE(files_.Save(*tables_, previous_.get()).ok()); }
  void Next(const SnapshotInput& input) {
    std::unique_ptr<ForwardingTables> next = Build(input).value();
    previous_ = std::move(tables_);
    tables_ = std::move(next);
    Save();
  }
  std::vector<SavedSlots> Load() {
    errors_.clear();
    return files_.Load([&](const std::string& why) { errors_.push_back(why); });
  }

  TemporaryFolder folder_;
  SlotFiles files_{folder_ / "dataplane.slots", 5};
  std::unique_ptr<ForwardingTables> previous_;
  std::vector<std::string> errors_;
};

TEST_F(SlotFilesTest, ContainAServiceFromItsFirstChangeUntilAllItsSlotsAreSettled) {
  EXPECT_TRUE(Load().empty());
  Next(WebInput(1, 2));
  EXPECT_TRUE(Load().empty());
  Next(WebInput(2, 3));
  std::vector<SavedSlots> saved = Load();
  ASSERT_EQ(saved.size(), 1U);
  EXPECT_EQ(saved[0].slots.size(), Service().slot_table->unsettled().size());
  Next(WebInput(3, 3));  // the same tables
  EXPECT_EQ(Load().size(), 1U);
  for (uint32_t tick = 1; tick < 3; ++tick) {
    Service().slot_table->BeginCount(tick * 10'000, Service().idle_ticks);
    Service().slot_table->EndCount();
  }
  ASSERT_TRUE(Service().slot_table->all_settled());
  files_.RemoveSettled(*tables_);
  EXPECT_TRUE(Load().empty());
  EXPECT_TRUE(errors_.empty());
}

TEST_F(SlotFilesTest, OmitARemovedService) {
  Next(WebInput(1, 2));
  Next(WebInput(2, 3));
  SnapshotInput none{.generation = 3, .hash_seed = 7, .services = {}};
  Next(none);
  EXPECT_TRUE(Load().empty());
}

TEST_F(SlotFilesTest, IgnoreAndRemoveFilesThatCannotBeUsed) {
  Next(WebInput(1, 2));
  Next(WebInput(2, 3));
  const std::string good = folder_ / "dataplane.slots/00000001.slots";
  ASSERT_TRUE(std::filesystem::exists(good));
  // A file with the name of another service.
  std::filesystem::copy_file(good, folder_ / "dataplane.slots/00000002.slots");
  std::ofstream(folder_ / "dataplane.slots/00000003.slots") << "nonsense";
  EXPECT_EQ(Load().size(), 1U);
  EXPECT_EQ(errors_.size(), 2U);
  EXPECT_EQ(Load().size(), 1U);
  EXPECT_TRUE(errors_.empty());
  const SlotFiles other_boot(folder_ / "dataplane.slots", 6);
  EXPECT_TRUE(other_boot.Load([](const std::string&) {}).empty());
  EXPECT_FALSE(std::filesystem::exists(good));
}

TEST_F(SlotFilesTest, KeepForeignFiles) {
  Next(WebInput(1, 2));
  Next(WebInput(2, 3));
  const std::string folder = folder_ / "dataplane.slots/";
  for (const char* name : {"notes.txt", "00000001.slots.bak", "0000000g.slots", "1.slots"}) {
    std::ofstream(folder + name) << "precious";
  }
  ASSERT_EQ(mkfifo((folder + "00000009.slots").c_str(), 0666), 0);
  EXPECT_EQ(Load().size(), 1U);
  EXPECT_EQ(errors_.size(), 1U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 6);
}

// A planted link must not make the dataplane remove files of another folder.
TEST_F(SlotFilesTest, DoNotFollowALinkInTheFoldersPlace) {
  std::filesystem::create_directory(folder_ / "precious");
  std::ofstream(folder_ / "precious/00000001.slots") << "precious";
  std::filesystem::create_directory_symlink(folder_ / "precious", folder_ / "dataplane.slots");
  EXPECT_TRUE(Load().empty());
  ASSERT_EQ(errors_.size(), 1U);
  EXPECT_THAT(errors_[0], ::testing::HasSubstr("dataplane.slots is a symbolic link"));
  tables_ = Build(WebInput(1, 2)).value();
  const std::unique_ptr<ForwardingTables> next = Build(WebInput(2, 3)).value();
  EXPECT_FALSE(files_.Save(*next, tables_.get()).ok());
  EXPECT_TRUE(std::filesystem::exists(folder_ / "precious/00000001.slots"));
}

TEST(StateFiles, AreNamedAfterTheLink) {
  const StateFiles files = StateFiles::Beside("/run/fairlead/dataplane.sock");
  EXPECT_EQ(files.flows.folder, "/run/fairlead");
  EXPECT_EQ(files.flows.name, "dataplane.flows");
  EXPECT_EQ(files.slots, "/run/fairlead/dataplane.slots");
  EXPECT_EQ(files.snapshot, "/run/fairlead/dataplane.snapshot");
  EXPECT_NE(files.flows.epoch, 0U);
}

TEST(StateFiles, OfTwoLinksInOneFolderDiffer) {
  const StateFiles one = StateFiles::Beside("/run/fairlead/one.sock");
  const StateFiles two = StateFiles::Beside("/run/fairlead/two.sock");
  EXPECT_NE(one.flows.name, two.flows.name);
  EXPECT_NE(one.slots, two.slots);
  EXPECT_NE(one.snapshot, two.snapshot);
}

}  // namespace
}  // namespace fairlead
