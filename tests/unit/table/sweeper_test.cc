#include "lib/table/sweeper.h"

#include <map>
#include <optional>

#include "lib/table/select.h"
#include "tests/unit/flow/table_memory.h"
#include "tests/unit/table/tables.h"

namespace fairlead {
namespace {

using testing::MakeBackend;
using testing::MakeService;
using testing::TableMemory;

constexpr uint32_t kNow = 50'000;
constexpr uint32_t kIdleTicks = 400;
constexpr uint32_t kChange = kNow - 100;  // when backend 4 begins to drain, in some tests

class SweeperTest : public testing::TablesFixture {
 protected:
  void SetUp() override {
    Publish(Input(BackendState::kActive));
    now_tick_ = kChange;
  }

  // Backends 1 to 4; 3 is down.
  static SnapshotInput Input(BackendState fourth) {
    SnapshotInput input{.generation = 1, .hash_seed = 7, .services = {}};
    input.services = {MakeService(1, "web", "203.0.113.10:80/tcp",
                                  {MakeBackend(1, "10.0.0.1"), MakeBackend(2, "10.0.0.2"),
                                   MakeBackend(3, "10.0.0.3", 1, BackendState::kDown),
                                   MakeBackend(4, "10.0.0.4", 1, fourth)})};
    input.services[0].tracking_tcp = Tracking::kAdaptive;
    input.services[0].idle_timeout_tcp_ms = kIdleTicks * 250;
    return input;
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
  void SweepAll(const ForwardingTables* tables) { SweepAt(tables, kNow); }
  void SweepAt(const ForwardingTables* tables, uint32_t tick) {
    sweeper_.Begin(tables, tick);
    while (!sweeper_.Step(tick)) ASSERT_TRUE(sweeper_.is_running());
  }
  uint64_t FlowsOf(uint32_t backend_id) const {
    return sweeper_.RecordsOf(tables_->FindBackend(backend_id)->counter_index).flows;
  }
  uint64_t PinsOf(uint32_t backend_id) const {
    return sweeper_.RecordsOf(tables_->FindBackend(backend_id)->counter_index).pins;
  }
  SlotTable& Slots() { return *Service().slot_table; }

  // The hash of a flow of `slot`. `n` distinguishes flows of one slot.
  FlowHash HashIn(uint32_t slot, uint32_t n) const {
    const uint64_t size = Slots_().size();
    return {(((uint64_t{slot} << 32) + size - 1) / size) << 32 | n, uint64_t{slot} << 16 | n};
  }
  RecordKey KeyIn(uint32_t slot, uint32_t n) const {
    return RecordKey::Make(HashIn(slot, n), Service().salt);
  }
  std::optional<FlowRecord> RecordOf(const RecordKey& key) const {
    FlowTable::Handle handle;
    if (!flows_.Find(key, &handle)) return std::nullopt;
    return FlowRecord::Unpack(handle.value);
  }
  uint32_t FirstUnsettled() { return Slots().unsettled().front().index; }
  const SlotTable& Slots_() const { return *Service().slot_table; }

  // More than a slice, so that a pass takes several steps.
  static constexpr uint64_t kRecords = 3 * Sweeper::kSliceBuckets * kRecordsPerBucket;
  TableMemory memory_{FlowTable::BytesNeeded(kRecords)};
  FlowTable flows_ = FlowTable::Format(memory_.bytes(), kRecords);
  Sweeper sweeper_{&flows_};
};

TEST_F(SweeperTest, CountsLiveRecordsPerBackendOverAllSlices) {
  SnapshotInput input = Input(BackendState::kActive);
  input.services[0].tracking_tcp = Tracking::kAll;
  Publish(input);
  const uint64_t buckets = flows_.bucket_count();
  for (uint64_t n = 0; n < 300; ++n) Put(n * (buckets / 300), n % 3 == 0 ? 1 : 2, 10);
  SweepAll(tables_.get());
  EXPECT_EQ(sweeper_.records(), 300u);
  EXPECT_EQ(FlowsOf(1), 100u);
  EXPECT_EQ(FlowsOf(2), 200u);
}

TEST_F(SweeperTest, ErasesExpiredRecordsAndRecordsOfRemovedBackends) {
  Put(1, 1, kIdleTicks - 1);
  Put(2, 1, kIdleTicks + 1);  // idle
  Put(3, 1, kClosingTicks - 1, kRecordClosing);
  Put(4, 1, kClosingTicks + 1, kRecordClosing);  // closed
  Put(5, 3, 1);                                  // its backend is down: it may recover
  Put(6, 4, 1);                                  // draining: stays
  Put(7, 99, 1);                                 // its backend is gone
  SweepAll(tables_.get());
  const std::map<uint64_t, bool> expected = {{1, true}, {2, false}, {3, true}, {4, false},
                                             {5, true}, {6, true},  {7, false}};
  for (const auto& [flow, kept] : expected) EXPECT_EQ(Has(flow), kept) << flow;
  EXPECT_EQ(sweeper_.records(), 3u);
  EXPECT_EQ(FlowsOf(1), 2u);
  EXPECT_EQ(FlowsOf(4), 1u);
}

TEST_F(SweeperTest, CountsNoFlowsOfABackendThatIsDown) {
  Put(1, 3, 1);
  SweepAll(tables_.get());
  EXPECT_EQ(sweeper_.records(), 0u);
  EXPECT_EQ(FlowsOf(3), 0u);
}

TEST_F(SweeperTest, SettlesASlotWhenNoRecordNamesAnotherBackend) {
  Publish(Input(BackendState::kDraining));
  const uint32_t slot = FirstUnsettled();
  const uint32_t shifting = Slots().shifting_count();
  const RecordKey key = KeyIn(slot, 1);
  ASSERT_EQ(flows_.Insert(key, {4, kNow, kRecordOld}, kIdleTicks),
            FlowTable::InsertResult::kStored);

  SweepAt(tables_.get(), kChange + kIdleTicks);  // T is not over
  EXPECT_EQ(Slots().shifting_count(), shifting);
  EXPECT_EQ(sweeper_.pins(), 1u);
  EXPECT_EQ(PinsOf(4), 1u);
  EXPECT_FALSE(sweeper_.slots_changed());

  SweepAt(tables_.get(), kChange + kIdleTicks + 1);
  EXPECT_TRUE(sweeper_.slots_changed());
  EXPECT_EQ(Slots().shifting_count(), 0u);
  EXPECT_EQ(Slots().pinned_count(), shifting);

  SweepAt(tables_.get(), kChange + kIdleTicks + 2);
  EXPECT_EQ(Slots().pinned_count(), 1u);  // all but the one with the record
  EXPECT_EQ(Slots().Load(slot).state, SlotState::kPinned);

  SweepAt(tables_.get(), kNow + kIdleTicks + 1);  // the record expires
  EXPECT_TRUE(Slots().all_settled());
  EXPECT_FALSE(RecordOf(key).has_value());
  EXPECT_EQ(Slots().Load(slot).state, SlotState::kSettled);
}

TEST_F(SweeperTest, MakesARecordNewWhenItCanNoLongerBeDerived) {
  Publish(Input(BackendState::kDraining));
  const uint32_t slot = FirstUnsettled();
  const RecordKey key = KeyIn(slot, 1);
  ASSERT_EQ(flows_.Insert(key, {4, kNow, kRecordOld}, kIdleTicks),
            FlowTable::InsertResult::kStored);
  SweepAt(tables_.get(), kChange + kIdleTicks);
  EXPECT_EQ(RecordOf(key)->flags, kRecordOld);
  // This happens before the slot is pinned, not after.
  sweeper_.Begin(tables_.get(), kChange + kIdleTicks + 1);
  while (RecordOf(key)->flags == kRecordOld) {
    ASSERT_EQ(Slots().Load(slot).state, SlotState::kShifting);
    sweeper_.Step(kChange + kIdleTicks + 1);
  }
  EXPECT_EQ(RecordOf(key)->flags, 0);
}

// A flow on its slot's current owner needs no record, unless the slot shifts: then a flow without a
// record counts as old.
TEST_F(SweeperTest, ErasesRecordsThatNameTheOwnerOfTheirSlot) {
  Publish(Input(BackendState::kDraining));
  const uint32_t unsettled = FirstUnsettled();
  const uint32_t settled = unsettled == 0 ? 1 : 0;
  ASSERT_EQ(Slots().Load(settled).state, SlotState::kSettled);
  const auto put = [&](uint32_t slot, uint32_t n) {
    const uint32_t owner = tables_->backends()[Slots().Load(slot).current].id;
    const RecordKey key = KeyIn(slot, n);
    EXPECT_EQ(flows_.Insert(key, {owner, kNow, 0}, kIdleTicks), FlowTable::InsertResult::kStored);
    return key;
  };
  const RecordKey needless = put(settled, 1);
  const RecordKey needed = put(unsettled, 2);
  SweepAt(tables_.get(), kChange + kIdleTicks);
  EXPECT_FALSE(RecordOf(needless).has_value());
  EXPECT_TRUE(RecordOf(needed).has_value());
  EXPECT_EQ(sweeper_.records(), 1u);
  // T is over: the slot is pinned after this sweep.
  SweepAt(tables_.get(), kChange + kIdleTicks + 1);
  EXPECT_TRUE(RecordOf(needed).has_value());
  SweepAt(tables_.get(), kChange + kIdleTicks + 2);
  EXPECT_FALSE(RecordOf(needed).has_value());
}

TEST_F(SweeperTest, KeepsRecordsThatNameTheOwnerIfAllFlowsAreTracked) {
  for (const auto& [tcp, udp] : {std::pair{Tracking::kAll, Tracking::kAdaptive},
                                 std::pair{Tracking::kAdaptive, Tracking::kAll}}) {
    SnapshotInput input = Input(BackendState::kActive);
    input.services[0].frontends.push_back(Frontend::Parse("203.0.113.10:80/udp").value());
    input.services[0].tracking_tcp = tcp;
    input.services[0].tracking_udp = udp;
    Publish(input);
    const RecordKey key = KeyIn(0, static_cast<uint32_t>(tcp));
    const uint32_t owner = tables_->backends()[Slots().Load(0).current].id;
    ASSERT_EQ(flows_.Insert(key, {owner, kNow, 0}, kIdleTicks), FlowTable::InsertResult::kStored);
    SweepAll(tables_.get());
    EXPECT_TRUE(RecordOf(key).has_value());
  }
}

TEST_F(SweeperTest, SettlesNoSlotWhileTheRecordedBackendIsDown) {
  Publish(Input(BackendState::kDraining));
  const uint32_t slot = FirstUnsettled();
  ASSERT_EQ(flows_.Insert(KeyIn(slot, 1), {4, kNow, 0}, kIdleTicks),
            FlowTable::InsertResult::kStored);
  Publish(Input(BackendState::kDown));
  SweepAt(tables_.get(), kChange + kIdleTicks + 1);
  SweepAt(tables_.get(), kChange + kIdleTicks + 2);
  EXPECT_EQ(Slots().Load(slot).state, SlotState::kPinned);
  EXPECT_EQ(PinsOf(4), 0u);  // a down backend has no flows
}

TEST_F(SweeperTest, PinsNoSlotInASweepThatBeganWithinT) {
  Publish(Input(BackendState::kDraining));
  const uint32_t late = kChange + kIdleTicks + 1;
  sweeper_.Begin(tables_.get(), late - 1);
  while (!sweeper_.Step(late)) continue;
  EXPECT_EQ(Slots().pinned_count(), 0u);
  SweepAt(tables_.get(), late);
  EXPECT_NE(Slots().pinned_count(), 0u);
}

TEST_F(SweeperTest, KeepsTheLastCountsUntilASweepHasEnded) {
  Put(1, 1, 1);
  SweepAll(tables_.get());
  Put(2, 1, 1);
  sweeper_.Begin(tables_.get(), kNow);
  EXPECT_FALSE(sweeper_.Step(kNow));
  EXPECT_EQ(sweeper_.records(), 1u);
  while (!sweeper_.Step(kNow)) continue;
  EXPECT_EQ(sweeper_.records(), 2u);
}

TEST_F(SweeperTest, SkipsTheFlowTableIfNothingWasEverRecorded) {
  Put(1, 99, 1);  // of no backend: a sweep would erase it
  sweeper_.Begin(tables_.get(), kNow, false);
  EXPECT_TRUE(sweeper_.Step(kNow));
  EXPECT_TRUE(Has(1));
  EXPECT_EQ(sweeper_.records(), 0u);
  SweepAll(tables_.get());
  EXPECT_FALSE(Has(1));
}

TEST_F(SweeperTest, DoesNothingWithoutTables) {
  Put(1, 1, 1);
  sweeper_.Begin(nullptr, kNow);
  EXPECT_FALSE(sweeper_.is_running());
  EXPECT_FALSE(sweeper_.Step(kNow));
  EXPECT_TRUE(Has(1));
  EXPECT_EQ(sweeper_.records(), 0u);
}

}  // namespace
}  // namespace fairlead
