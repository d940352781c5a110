// Reads the flow table and the slot states that the dataplane of release 0.1.0 left.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "dataplane/manage/flow_memory.h"
#include "dataplane/manage/slot_files.h"
#include "lib/flow/flow_table.h"
#include "lib/table/slot_image.h"
#include "tests/unit/recorded.h"

namespace fairlead {
namespace {

using testing_recorded::Bytes;
using testing_recorded::Unpack;

// Offsets in the first page of the flow table's file (flow_memory.cc).
constexpr size_t kEpochAt = 16;
constexpr size_t kTableBytesAt = 24;

uint64_t NumberAt(const std::string& content, size_t at) {
  uint64_t number = 0;
  EXPECT_GE(content.size(), at + sizeof(number));
  std::memcpy(&number, content.data() + at, sizeof(number));
  return number;
}

TEST(RecordedFlowTable, IsTakenOver) {
  const std::string content = Unpack("dataplane.flows.gz");
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("fairlead-compat-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  std::ofstream(folder / "dataplane.flows", std::ios::binary) << content;
  const FlowMemory::Place place{.folder = folder.string(),
                                .name = "dataplane.flows",
                                .huge_name = folder.filename().string(),
                                .epoch = NumberAt(content, kEpochAt)};
  Result<FlowMemory> memory = FlowMemory::Open(place, NumberAt(content, kTableBytesAt));
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(memory.ok()) << memory.status().message();
  ASSERT_TRUE(memory->has_table()) << memory->placement_reason();
  ASSERT_TRUE(memory->MakePresent().ok());
  const Result<FlowTable> table = FlowTable::Attach(memory->bytes());
  ASSERT_TRUE(table.ok()) << table.status().message();
  EXPECT_EQ(table->capacity_records(), 1024U);
  size_t records = 0;
  table->Sweep(0, table->bucket_count(), [&](const auto&...) { ++records; });
  EXPECT_GE(records, 5U);
}

TEST(RecordedSlotStates, AreRead) {
  const std::string flows = Unpack("dataplane.flows.gz");
  size_t files = 0;
  size_t slots = 0;
  for (const auto& entry : std::filesystem::directory_iterator(testing_recorded::PathOf(""))) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".slots.gz")) continue;
    const Result<SavedSlots> saved = DecodeSlots(Bytes(Unpack(name)), NumberAt(flows, kEpochAt));
    ASSERT_TRUE(saved.ok()) << name << ": " << saved.status().message();
    EXPECT_EQ(saved->slot_count, 65537U);
    ++files;
    slots += saved->slots.size();
  }
  EXPECT_GE(files, 1U);
  EXPECT_GT(slots, 0U);
}

}  // namespace
}  // namespace fairlead
