#include "dataplane/manage/restart_check.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "dataplane/manage/image_file.h"
#include "tests/unit/manage/fixture.h"

namespace fairlead {
namespace {

using Outcome = RestartCheck::Outcome;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using testing::WebImage;
using testing::WebInput;

constexpr uint64_t kConfigured = 1024;

// The state of a dataplane that runs: its flow table stays mapped and locked.
class RestartCheckTest : public testing::TablesFixture {
 protected:
  RestartCheckTest() {
    options_.config.ports.resize(2);
    options_.config.workers = 4;
    options_.config.flow_records = kConfigured;
    files_.flows = {folder_ / "", "dataplane.flows", "fairlead-test-unused.flows", 5};
    files_.slots = folder_ / "dataplane.slots";
    files_.snapshot = folder_ / "dataplane.snapshot";
  }

  // `count` records in a table of `capacity`.
  void KeepFlows(uint64_t capacity, uint64_t count) {
    Result<FlowMemory> memory = FlowMemory::Open(files_.flows, FlowTable::BytesNeeded(capacity));
    ASSERT_TRUE(memory.ok()) << memory.status().message();
    memory_.emplace(*std::move(memory));
    FlowTable table = OpenFlowTable(capacity, &*memory_).value();
    ASSERT_TRUE(MakeFlowsPresent(capacity, &*memory_).ok());
    for (uint64_t tag = 2; tag < 2 + count; ++tag) {
      ASSERT_EQ(table.Insert({tag, tag << 32 | tag}, {3, 100, 0}, 1000),
                FlowTable::InsertResult::kStored);
    }
  }
  void KeepSnapshot() {
    ASSERT_TRUE(StoreImageFile(files_.snapshot, WebImage(12, 3).bytes()).ok());
  }
  // The slots of one service are shifting.
  void KeepSlots() {
    Publish(WebInput(1, 2));
    const std::unique_ptr<ForwardingTables> next = Build(WebInput(2, 3)).value();
    ASSERT_TRUE(SlotFiles(files_.slots, files_.flows.epoch).Save(*next, tables_.get()).ok());
  }
  void Poke(const std::string& path, std::streamoff at, char value) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.put(value);
  }

  // What the folder holds: each file's inode, size and time of its last change.
  std::map<std::string, std::vector<int64_t>> Files() const {
    std::map<std::string, std::vector<int64_t>> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "")) {
      struct stat info = {};
      EXPECT_EQ(lstat(entry.path().c_str(), &info), 0);
      files[entry.path()] = {static_cast<int64_t>(info.st_ino), info.st_size, info.st_ctim.tv_sec,
                             info.st_ctim.tv_nsec};
    }
    return files;
  }
  // Also checks that nothing changes in the folder.
  RestartCheck Check() const {
    const auto before = Files();
    RestartCheck check = CheckRestart(options_, files_).value();
    EXPECT_EQ(Files(), before);
    return check;
  }
  static RestartCheck::Part PartOf(const RestartCheck& check, const std::string& name) {
    for (const RestartCheck::Part& part : check.parts) {
      if (part.name == name) return part;
    }
    ADD_FAILURE() << "no part " << name;
    return {"", Outcome::kNothing, "", 0};
  }
  void ExpectLost(const std::string& name, const std::string& text) const {
    const RestartCheck check = Check();
    EXPECT_TRUE(check.LosesState());
    EXPECT_EQ(PartOf(check, name).outcome, Outcome::kLost);
    EXPECT_THAT(PartOf(check, name).text, HasSubstr(text));
  }

  TemporaryFolder folder_;
  Options options_;
  StateFiles files_;
  std::optional<FlowMemory> memory_;
};

TEST_F(RestartCheckTest, TakesOverAllThatARunningDataplaneKeeps) {
  KeepFlows(kConfigured, 17);
  KeepSnapshot();
  KeepSlots();
  const RestartCheck check = Check();
  EXPECT_FALSE(check.LosesState());
  for (const RestartCheck::Part& part : check.parts) {
    EXPECT_EQ(part.outcome, Outcome::kTakenOver) << part.name;
  }
  EXPECT_EQ(PartOf(check, "configuration").text, "2 ports, 4 workers");
  EXPECT_EQ(PartOf(check, "snapshot").text, "generation 12, 1 service, 3 backends");
  EXPECT_EQ(PartOf(check, "flow_records").count, 17U);
  EXPECT_THAT(PartOf(check, "flow_records").text, HasSubstr("17 records in "));
  EXPECT_EQ(PartOf(check, "slot_states").text, "of 1 service");
  // The next process does take them over.
  memory_.reset();
  memory_.emplace(FlowMemory::Open(files_.flows, FlowTable::BytesNeeded(kConfigured)).value());
  uint64_t taken_over = 0;
  ASSERT_TRUE(OpenFlowTable(kConfigured, &*memory_, &taken_over).ok());
  EXPECT_EQ(taken_over, 17U);
}

TEST_F(RestartCheckTest, LosesNothingIfNothingIsKept) {
  const RestartCheck check = Check();
  EXPECT_FALSE(check.LosesState());
  EXPECT_EQ(PartOf(check, "snapshot").outcome, Outcome::kNothing);
  EXPECT_EQ(PartOf(check, "flow_records").outcome, Outcome::kNothing);
  EXPECT_EQ(PartOf(check, "slot_states").outcome, Outcome::kNothing);
}

TEST_F(RestartCheckTest, HasNoStateWithoutALink) {
  KeepFlows(kConfigured, 17);
  const RestartCheck check = CheckRestart(options_, std::nullopt).value();
  ASSERT_EQ(check.parts.size(), 1U);
  EXPECT_EQ(check.parts[0].name, "configuration");
}

TEST_F(RestartCheckTest, NamesTheSettingThatLosesTheFlowRecords) {
  KeepFlows(4096, 17);
  ExpectLost("flow_records",
             "17 records: flow_table.records is 1024, but the table has 4096; to keep them, set it "
             "to 4096");
}

TEST_F(RestartCheckTest, AcceptsANumberOfRecordsThatNeedsTheSameTable) {
  KeepFlows(1000, 17);
  EXPECT_EQ(PartOf(Check(), "flow_records").outcome, Outcome::kTakenOver);
}

TEST_F(RestartCheckTest, AnEmptyTableOfAnotherSizeIsNoLoss) {
  KeepFlows(4096, 0);
  const RestartCheck check = Check();
  EXPECT_FALSE(check.LosesState());
  EXPECT_THAT(PartOf(check, "flow_records").text, HasSubstr("no records"));
}

TEST_F(RestartCheckTest, ATableThatNoProcessHasNeededIsNoLoss) {
  for (const uint64_t capacity : {kConfigured, 4 * kConfigured}) {
    memory_.reset();
    memory_.emplace(FlowMemory::Open(files_.flows, FlowTable::BytesNeeded(capacity)).value());
    EXPECT_EQ(PartOf(Check(), "flow_records").outcome, Outcome::kNothing);
  }
}

TEST_F(RestartCheckTest, SaysWhyTheFlowRecordsCannotBeRead) {
  struct Row {
    const char* name;
    std::streamoff at;
    char value;
    const char* why;
  };
  for (const Row& row : {Row{"magic", 0, 0x13, "wrong magic number"},
                         Row{"layout version", 8, 2, "has layout version 2, not 1"},
                         Row{"epoch", 16, 6, "17 records: "},
                         Row{"the table's magic", 4096, 0x13, "this is no flow table"},
                         Row{"the table's version", 4104, 2, "layout version: 2 is not 1"}}) {
    SCOPED_TRACE(row.name);
    KeepFlows(kConfigured, 17);
    memory_.reset();
    Poke(folder_ / "dataplane.flows", row.at, row.value);
    ExpectLost("flow_records", row.why);
    std::filesystem::remove(folder_ / "dataplane.flows");
  }
}

TEST_F(RestartCheckTest, SaysWhyTheFlowTableIsNotUsable) {
  std::filesystem::create_symlink("/dev/null", folder_ / "dataplane.flows");
  ExpectLost("flow_records", "is a symbolic link");
}

TEST_F(RestartCheckTest, SaysWhyTheSnapshotIsRefused) {
  KeepSnapshot();
  Poke(files_.snapshot, 8, 9);  // its version
  ExpectLost("snapshot", "version");
  ExpectLost("snapshot", "nothing is forwarded until fairleadd has sent one");
}

TEST_F(RestartCheckTest, ASlotFileThatCannotBeReadIsALoss) {
  KeepSlots();
  std::ofstream(files_.slots + "/00000007.slots") << "nonsense";
  ExpectLost("slot_states", "00000007.slots: ");
}

TEST_F(RestartCheckTest, ASlotFileThatIsBeingWrittenIsNoLoss) {
  KeepSlots();
  std::ofstream(files_.slots + "/00000001.slots.new") << "half";
  EXPECT_FALSE(Check().LosesState());
}

TEST_F(RestartCheckTest, FailsIfTheImageOfTheCommandLineCannotBeUsed) {
  KeepSnapshot();
  options_.snapshot = folder_ / "other";
  const Result<RestartCheck> check = CheckRestart(options_, files_);
  ASSERT_FALSE(check.ok());
  EXPECT_THAT(check.status().message(), HasSubstr("cannot open snapshot"));
}

TEST_F(RestartCheckTest, IsPrintedAsLinesAndAsJson) {
  KeepFlows(4096, 17);
  KeepSnapshot();
  const RestartCheck check = Check();
  EXPECT_THAT(CheckText(check),
              AllOf(HasSubstr("configuration  taken over: 2 ports, 4 workers\n"),
                    HasSubstr("snapshot       taken over: generation 12, 1 service, 3 backends\n"),
                    HasSubstr("flow records   lost: 17 records: flow_table.records is 1024"),
                    HasSubstr("slot states    all slots are settled\n")));
  const auto json = nlohmann::json::parse(CheckJson(check));
  EXPECT_EQ(json["complete"], false);
  EXPECT_EQ(json["parts"][2]["name"], "flow_records");
  EXPECT_EQ(json["parts"][2]["outcome"], "lost");
  EXPECT_EQ(json["parts"][2]["count"], 17);
  EXPECT_EQ(nlohmann::json::parse(CheckErrorJson(InvalidArgument("no ports")))["error"],
            "no ports");
}

}  // namespace
}  // namespace fairlead
