#include "dataplane/manage/sweeper.h"

#include <map>

#include "lib/table/select.h"
#include "tests/unit/flow/table_memory.h"
#include "tests/unit/manage/fixture.h"

namespace fairlead {
namespace {

using testing::TableMemory;
using testing::WebInput;

constexpr uint32_t kNow = 50'000;
constexpr uint32_t kIdleTicks = 400;

class SweeperTest : public testing::TablesFixture {
 protected:
  void SetUp() override {
    SnapshotInput input = WebInput(1, 4);
    input.services[0].backends[2].state = BackendState::kDown;
    input.services[0].backends[3].state = BackendState::kDraining;
    Publish(input);
  }

  void Put(uint64_t flow, uint32_t backend_id, uint32_t age_ticks, uint8_t flags = 0) {
    const RecordKey key{flow + 1000, flow};
    ASSERT_EQ(flows_.Insert(key, {backend_id, kNow - age_ticks, flags}, kIdleTicks),
              FlowTable::InsertResult::kStored);
  }
  bool Has(uint64_t flow) const {
    FlowTable::Handle handle;
    return flows_.Find({flow + 1000, flow}, &handle);
  }
  void SweepAll(const ForwardingTables* tables) {
    sweeper_.Begin(tables, idle_ticks_);
    while (!sweeper_.Step(kNow)) ASSERT_TRUE(sweeper_.is_running());
  }
  uint64_t FlowsOf(uint32_t backend_id) const {
    return sweeper_.FlowsOf(tables_->FindBackend(backend_id)->counter_index);
  }

  // More than a slice, so that a pass takes several steps.
  static constexpr uint64_t kRecords = 3 * Sweeper::kSliceBuckets * kRecordsPerBucket;
  TableMemory memory_{FlowTable::BytesNeeded(kRecords)};
  FlowTable flows_ = FlowTable::Format(memory_.bytes(), kRecords);
  std::vector<uint32_t> idle_ticks_ = {kIdleTicks};
  Sweeper sweeper_{&flows_};
};

TEST_F(SweeperTest, CountsLiveRecordsPerBackendOverAllSlices) {
  const uint64_t buckets = flows_.bucket_count();
  for (uint64_t n = 0; n < 300; ++n) Put(n * (buckets / 300), n % 3 == 0 ? 1 : 2, 10);
  SweepAll(tables_.get());
  EXPECT_EQ(sweeper_.records(), 300u);
  EXPECT_EQ(FlowsOf(1), 100u);
  EXPECT_EQ(FlowsOf(2), 200u);
}

TEST_F(SweeperTest, ErasesWhatIsOfNoMoreUseAndKeepsTheRest) {
  Put(1, 1, kIdleTicks - 1);
  Put(2, 1, kIdleTicks + 1);  // idle
  Put(3, 1, kClosingTicks - 1, kRecordClosing);
  Put(4, 1, kClosingTicks + 1, kRecordClosing);  // closed
  Put(5, 3, 1);                                  // its backend is down
  Put(6, 4, 1);                                  // draining: stays
  Put(7, 99, 1);                                 // its backend is gone
  SweepAll(tables_.get());
  const std::map<uint64_t, bool> expected = {{1, true},  {2, false}, {3, true}, {4, false},
                                             {5, false}, {6, true},  {7, false}};
  for (const auto& [flow, kept] : expected) EXPECT_EQ(Has(flow), kept) << flow;
  EXPECT_EQ(sweeper_.records(), 3u);
  EXPECT_EQ(FlowsOf(1), 2u);
  EXPECT_EQ(FlowsOf(4), 1u);
}

TEST_F(SweeperTest, KeepsTheLastCountsUntilAPassHasEnded) {
  Put(1, 1, 1);
  SweepAll(tables_.get());
  Put(2, 1, 1);
  sweeper_.Begin(tables_.get(), idle_ticks_);
  EXPECT_FALSE(sweeper_.Step(kNow));
  EXPECT_EQ(sweeper_.records(), 1u);
  while (!sweeper_.Step(kNow)) continue;
  EXPECT_EQ(sweeper_.records(), 2u);
}

TEST_F(SweeperTest, ErasesEverythingWithoutTables) {
  Put(1, 1, 1);
  SweepAll(nullptr);
  EXPECT_FALSE(Has(1));
  EXPECT_EQ(sweeper_.records(), 0u);
}

}  // namespace
}  // namespace fairlead
