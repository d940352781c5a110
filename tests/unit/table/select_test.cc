#include "lib/table/select.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/net/headers.h"
#include "tests/unit/flow/table_memory.h"
#include "tests/unit/table/tables.h"

namespace fairlead {
namespace {

using testing::MakeBackend;
using testing::MakeService;
using testing::TableMemory;

constexpr uint32_t kNow = 100'000;
constexpr uint32_t kIdleTicks = 1000;  // TCP; UDP half of it

// Backend ids, named for the backend's state. kOwner owns the packet's slot.
constexpr uint32_t kOwner = 1;
constexpr uint32_t kOther = 2;
constexpr uint32_t kDraining = 3;
constexpr uint32_t kDown = 4;
constexpr uint32_t kWeightless = 5;
constexpr uint32_t kForeign = 6;  // another service's
constexpr uint32_t kGone = 99;

constexpr PacketFacts Tcp(int flags, bool payload = false) {
  return {kIpProtoTcp, static_cast<uint8_t>(flags), payload};
}
constexpr PacketFacts kSyn = Tcp(kTcpSyn);
constexpr PacketFacts kAck = Tcp(kTcpAck);
constexpr PacketFacts kData = Tcp(kTcpAck, true);
constexpr PacketFacts kFin = Tcp(kTcpFin | kTcpAck);
constexpr PacketFacts kRst = Tcp(kTcpRst);
constexpr PacketFacts kUdp{kIpProtoUdp, 0, true};

class SelectTest : public testing::TablesFixture {
 protected:
  void SetUp() override {
    Publish(Input());
    // Finds a hash whose slot kOwner owns.
    while (tables_->backends()[SlotOwner(Service(), hash_)].id != kOwner) {
      hash_.low += uint64_t{1} << 40;
    }
  }

  static SnapshotInput Input() {
    SnapshotInput input{.generation = 1, .hash_seed = 7, .services = {}};
    input.services.push_back(
        MakeService(1, "a", "203.0.113.10:80/tcp",
                    {MakeBackend(kOwner, "10.0.0.1"), MakeBackend(kOther, "10.0.0.2"),
                     MakeBackend(kDraining, "10.0.0.3", 1, BackendState::kDraining),
                     MakeBackend(kDown, "10.0.0.4", 1, BackendState::kDown),
                     MakeBackend(kWeightless, "10.0.0.5", 0)}));
    input.services[0].idle_timeout_tcp_ms = kIdleTicks * 250;
    input.services[0].idle_timeout_udp_ms = kIdleTicks * 125;
    input.services.push_back(
        MakeService(2, "b", "203.0.113.11:80/tcp", {MakeBackend(kForeign, "10.0.0.6")}));
    return input;
  }

  RecordKey Key() const { return RecordKey::Make(hash_, Service().salt); }
  void Put(const FlowRecord& record) {
    ASSERT_EQ(flows_.Insert(Key(), record, kIdleTicks), FlowTable::InsertResult::kStored);
  }
  std::optional<FlowRecord> Get() const {
    FlowTable::Handle handle;
    if (!flows_.Find(Key(), &handle)) return std::nullopt;
    return FlowRecord::Unpack(handle.value);
  }
  // Selects for one packet. ChooseWithoutRecording, called before, must give the same result.
  Selection Select(const PacketFacts& facts) {
    const std::optional<FlowRecord> record = Get();
    const Selection explained =
        ChooseWithoutRecording(*tables_, Service(), SlotAddress(Service(), hash_)->load(), facts,
                               kNow, record ? &*record : nullptr);
    const Selection selected = SelectBackend(*tables_, Service(), hash_, facts, kNow, &flows_);
    EXPECT_EQ(explained.backend_index, selected.backend_index);
    if (selected.reason != SelectReason::kUntracked) {
      EXPECT_EQ(explained.reason, selected.reason);
    }
    return selected;
  }
  uint32_t IdOf(const Selection& selection) const {
    return selection.backend_index == kNoIndex ? 0
                                               : tables_->backends()[selection.backend_index].id;
  }

  FlowHash hash_{0, 0x0000000100000002};
  TableMemory memory_{FlowTable::BytesNeeded(64)};
  FlowTable flows_ = FlowTable::Format(memory_.bytes(), 64);
};

// A record does not name its service. By the new UDP flow's timeout, the TCP flow would be expired
// and be evicted first.
TEST_F(SelectTest, AFloodOfUdpDoesNotEvictAnIdleTcpFlow) {
  SnapshotInput input = Input();
  input.services[0].idle_timeout_tcp_ms = 350'000;
  input.services[0].idle_timeout_udp_ms = 120'000;
  Publish(input);
  const auto put = [&](uint64_t tag, uint32_t age_seconds, uint8_t flags) {
    const FlowRecord record{kOther, kNow - age_seconds * kTicksPerSecond, flags};
    ASSERT_EQ(flows_.Insert({tag, Key().buckets}, record, tables_->longest_idle_ticks()),
              FlowTable::InsertResult::kStored);
  };
  constexpr uint64_t kTcpFlow = 77;
  put(kTcpFlow, 130, kRecordConfirmed);
  for (uint64_t tag = 100; tag < 107; ++tag) put(tag, 1, 0);
  const Selection selection = Select(kUdp);
  EXPECT_TRUE(selection.stored);
  EXPECT_TRUE(selection.evicted);
  FlowTable::Handle handle;
  EXPECT_TRUE(flows_.Find({kTcpFlow, Key().buckets}, &handle));
}

struct SelectRow {
  const char* name;
  PacketFacts facts;
  std::optional<FlowRecord> before;
  SelectReason reason;
  uint32_t backend_id;
  std::optional<FlowRecord> after;
};

void PrintTo(const SelectRow& row, std::ostream* out) { *out << row.name; }

constexpr uint32_t kBefore = kNow - 5;
constexpr uint8_t kOld = kRecordOld;
constexpr uint8_t kConfirmed = kRecordConfirmed;
constexpr uint8_t kClosing = kRecordClosing;
constexpr FlowRecord kOnOther{kOther, kBefore, kConfirmed};
constexpr FlowRecord kOnDraining{kDraining, kBefore, kConfirmed};
constexpr FlowRecord kLastLiveOnDraining{kDraining, kNow - kInUseTicks, kConfirmed};
constexpr FlowRecord kOnDown{kDown, kBefore, kConfirmed};
constexpr FlowRecord kOnGone{kGone, kBefore, kConfirmed};
constexpr FlowRecord kExpired{kOther, kNow - kIdleTicks - 1, kConfirmed};
constexpr FlowRecord kClosed{kOther, kNow - kClosingTicks - 1, kConfirmed | kClosing};
constexpr FlowRecord kNewOnOwner{kOwner, kNow, 0};
constexpr auto kNone = std::nullopt;

constexpr SelectReason kSlot = SelectReason::kSlot;
constexpr SelectReason kRecorded = SelectReason::kRecorded;
constexpr SelectReason kNewFlow = SelectReason::kNewFlow;
constexpr SelectReason kReplaced = SelectReason::kReplaced;

const SelectRow kRows[] = {
    // Without a record.
    {"SynIsRecordedAsNew", kSyn, kNone, kNewFlow, kOwner, kNewOnOwner},
    {"SynWithDataIsRecordedAsNew", Tcp(kTcpSyn, true), kNone, kNewFlow, kOwner, kNewOnOwner},
    {"UdpIsRecordedAsNew", kUdp, kNone, kNewFlow, kOwner, kNewOnOwner},
    {"UdpIgnoresTcpFlags", {kIpProtoUdp, kTcpRst, true}, kNone, kNewFlow, kOwner, kNewOnOwner},
    {"AckIsRecorded", kAck, kNone, kNewFlow, kOwner, kNewOnOwner},
    {"SynAckIsRecorded", Tcp(kTcpSyn | kTcpAck), kNone, kNewFlow, kOwner, kNewOnOwner},
    {"FinIsRecordedAsClosing", kFin, kNone, kNewFlow, kOwner, FlowRecord{kOwner, kNow, kClosing}},
    {"RstIsNotRecorded", kRst, kNone, kSlot, kOwner, kNone},
    {"RstAckIsNotRecorded", Tcp(kTcpRst | kTcpAck), kNone, kSlot, kOwner, kNone},
    {"RstSynIsNotRecorded", Tcp(kTcpRst | kTcpSyn), kNone, kSlot, kOwner, kNone},

    // With a record of a backend that serves.
    {"AckFollowsTheRecordAndConfirmsIt", kAck, FlowRecord{kOther, kBefore, 0}, kRecorded, kOther,
     FlowRecord{kOther, kNow, kConfirmed}},
    {"DataFollowsTheRecord", kData, kOnOther, kRecorded, kOther,
     FlowRecord{kOther, kNow, kConfirmed}},
    {"OldStaysOld", kAck, FlowRecord{kOther, kBefore, kOld}, kRecorded, kOther,
     FlowRecord{kOther, kNow, kOld | kConfirmed}},
    {"SynRetransmissionFollowsTheRecordWithoutConfirmingIt", kSyn, FlowRecord{kOther, kBefore, 0},
     kRecorded, kOther, FlowRecord{kOther, kNow, 0}},
    {"SynOfAReusedPortFollowsTheRecord", kSyn, kOnOther, kRecorded, kOther,
     FlowRecord{kOther, kNow, kConfirmed}},
    {"UdpFollowsTheRecordAndConfirmsIt", kUdp, FlowRecord{kOther, kBefore, 0}, kRecorded, kOther,
     FlowRecord{kOther, kNow, kConfirmed}},
    {"WeightZeroKeepsItsFlows", kData, FlowRecord{kWeightless, kBefore, kConfirmed}, kRecorded,
     kWeightless, FlowRecord{kWeightless, kNow, kConfirmed}},
    {"ARecordOfAClockAheadKeepsItsTick", kAck, FlowRecord{kOther, kNow + 1, 0}, kRecorded, kOther,
     FlowRecord{kOther, kNow + 1, kConfirmed}},
    {"ARecordIsValidUntilTheIdleTimeout", kAck, FlowRecord{kOther, kNow - kIdleTicks, kConfirmed},
     kRecorded, kOther, FlowRecord{kOther, kNow, kConfirmed}},

    // The end of a flow.
    {"FinMarksClosing", kFin, kOnOther, kRecorded, kOther,
     FlowRecord{kOther, kNow, kConfirmed | kClosing}},
    {"FinWithDataMarksClosing", Tcp(kTcpFin | kTcpAck, true), kOnOther, kRecorded, kOther,
     FlowRecord{kOther, kNow, kConfirmed | kClosing}},
    {"RstMarksClosingAndMovesNoFlow", kRst, kOnOther, kRecorded, kOther,
     FlowRecord{kOther, kNow, kConfirmed | kClosing}},
    {"DataClearsClosing", kData, FlowRecord{kOther, kBefore, kConfirmed | kClosing}, kRecorded,
     kOther, FlowRecord{kOther, kNow, kConfirmed}},
    {"BareAckKeepsClosing", kAck, FlowRecord{kOther, kBefore, kConfirmed | kClosing}, kRecorded,
     kOther, FlowRecord{kOther, kNow, kConfirmed | kClosing}},
    {"SynOnAClosingRecordBeginsANewFlow", kSyn, FlowRecord{kOther, kBefore, kConfirmed | kClosing},
     kReplaced, kOwner, kNewOnOwner},
    {"AckAfterTheCloseIsAsWithoutRecord", kAck, kClosed, kReplaced, kOwner, kNewOnOwner},

    // A draining backend keeps its flows and gets no new one.
    {"AckStaysOnTheDrainingBackend", kAck, kOnDraining, kRecorded, kDraining,
     FlowRecord{kDraining, kNow, kConfirmed}},
    {"UdpStaysOnTheDrainingBackend", kUdp, kOnDraining, kRecorded, kDraining,
     FlowRecord{kDraining, kNow, kConfirmed}},
    {"SynAckStaysOnTheDrainingBackend", Tcp(kTcpSyn | kTcpAck), kOnDraining, kRecorded, kDraining,
     FlowRecord{kDraining, kNow, kConfirmed}},
    // One SYN neither ends a live connection nor keeps it alive.
    {"SynMovesNoLiveFlowOfTheDrainingBackend", kSyn, kOnDraining, kRecorded, kDraining,
     kOnDraining},
    {"SynAfter60SecondsMovesNoFlowYet", kSyn, kLastLiveOnDraining, kRecorded, kDraining,
     kLastLiveOnDraining},
    {"SynAfterMoreThan60SecondsLeavesTheDrainingBackend", kSyn,
     FlowRecord{kDraining, kNow - kInUseTicks - 1, kConfirmed}, kReplaced, kOwner, kNewOnOwner},
    {"SynOfAnUnconfirmedFlowLeavesTheDrainingBackend", kSyn, FlowRecord{kDraining, kBefore, 0},
     kReplaced, kOwner, kNewOnOwner},
    {"SynOfAClosingFlowLeavesTheDrainingBackend", kSyn,
     FlowRecord{kDraining, kBefore, kConfirmed | kClosing}, kReplaced, kOwner, kNewOnOwner},
    {"UdpAfterItsTimeoutLeavesTheDrainingBackend", kUdp,
     FlowRecord{kDraining, kNow - kIdleTicks / 2 - 1, kConfirmed}, kReplaced, kOwner, kNewOnOwner},

    // A record that is no longer valid.
    {"AckLeavesTheDownBackend", kAck, kOnDown, kReplaced, kOwner, kNewOnOwner},
    {"SynLeavesTheDownBackend", kSyn, kOnDown, kReplaced, kOwner, kNewOnOwner},
    {"UdpLeavesTheDownBackend", kUdp, kOnDown, kReplaced, kOwner, kNewOnOwner},
    {"RstLeavesTheDownBackendAndIsNotRecorded", kRst, kOnDown, kSlot, kOwner, kOnDown},
    {"AckLeavesTheDeletedBackend", kAck, kOnGone, kReplaced, kOwner, kNewOnOwner},
    {"SynLeavesTheDeletedBackend", kSyn, kOnGone, kReplaced, kOwner, kNewOnOwner},
    {"AnotherServicesBackendIsNotFollowed", kAck, FlowRecord{kForeign, kBefore, kConfirmed},
     kReplaced, kOwner, kNewOnOwner},
    {"ADamagedRecordIsReplaced", kAck, FlowRecord{0, kBefore, 0xff}, kReplaced, kOwner,
     kNewOnOwner},
    {"AckAfterTheIdleTimeoutIsAsWithoutRecord", kAck, kExpired, kReplaced, kOwner, kNewOnOwner},
    {"SynAfterTheIdleTimeoutBeginsANewFlow", kSyn, kExpired, kReplaced, kOwner, kNewOnOwner},
    {"RstAfterTheIdleTimeoutDoesNotRenewTheRecord", kRst, kExpired, kSlot, kOwner, kExpired},
};

class SelectTracking : public SelectTest, public ::testing::WithParamInterface<SelectRow> {
 protected:
  void Check() {
    const SelectRow& row = GetParam();
    if (row.before) Put(*row.before);
    const Selection selection = Select(row.facts);
    EXPECT_EQ(SelectReasonText(selection.reason), SelectReasonText(row.reason));
    EXPECT_EQ(IdOf(selection), row.backend_id);
    EXPECT_FALSE(selection.evicted);
    const std::optional<FlowRecord> after = Get();
    ASSERT_EQ(after.has_value(), row.after.has_value());
    if (!after) return;
    EXPECT_EQ(after->backend_id, row.after->backend_id);
    EXPECT_EQ(after->last_seen_tick, row.after->last_seen_tick);
    EXPECT_EQ(int{after->flags}, int{row.after->flags});
  }
  void CheckByTheSlotAlone() {
    const SelectRow& row = GetParam();
    if (row.before) Put(*row.before);
    const Selection selection = Select(row.facts);
    EXPECT_EQ(selection.reason, SelectReason::kSlot);
    EXPECT_EQ(IdOf(selection), kOwner);
    ASSERT_EQ(Get().has_value(), row.before.has_value());
    if (row.before) {
      EXPECT_EQ(Get()->Pack(), row.before->Pack());
    }
  }
};

TEST_P(SelectTracking, AllUsesAndMakesRecords) { Check(); }

TEST_P(SelectTracking, AdaptiveIgnoresRecordsWhileTheSlotIsSettled) {
  SnapshotInput input = Input();
  input.services[0].tracking_tcp = Tracking::kAdaptive;
  input.services[0].tracking_udp = Tracking::kAdaptive;
  Publish(input);
  CheckByTheSlotAlone();
}

TEST_P(SelectTracking, NoneNeitherUsesNorMakesRecords) {
  SnapshotInput input = Input();
  input.services[0].tracking_tcp = Tracking::kNone;
  input.services[0].tracking_udp = Tracking::kNone;
  Publish(input);
  CheckByTheSlotAlone();
}

INSTANTIATE_TEST_SUITE_P(Rows, SelectTracking, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

// Adaptive tracking in a slot that is not settled: kStable owned it before kOwner.
constexpr uint32_t kStable = 7;
constexpr FlowRecord kOnStable{kStable, kBefore, kOld | kConfirmed};
constexpr FlowRecord kOldOnStable{kStable, kNow, kOld};
constexpr SelectReason kByStable = SelectReason::kStable;

class SelectUnsettled : public SelectTracking {
 protected:
  void SetUp() override {
    SnapshotInput input = Adaptive();
    Publish(input);
    input.services[0].backends.back().state = BackendState::kDraining;
    Publish(input);
    while (LoadSlot().state == SlotState::kSettled || IdOfLocal(LoadSlot().current) != kOwner) {
      hash_.low += uint64_t{1} << 40;
    }
  }
  static SnapshotInput Adaptive() {
    SnapshotInput input = Input();
    input.services[0].tracking_tcp = Tracking::kAdaptive;
    input.services[0].tracking_udp = Tracking::kAdaptive;
    input.services[0].backends.push_back(MakeBackend(kStable, "10.0.0.7"));
    return input;
  }
  Slot LoadSlot() const { return Slot::Unpack(SlotAddress(Service(), hash_)->load()); }
  uint32_t IdOfLocal(uint16_t local) const {
    return tables_->backends()[Service().first_backend + local].id;
  }
  void PinTheSlot() {
    Service().slot_table->BeginCount(now_tick_ + kIdleTicks + 1, kIdleTicks);
    Service().slot_table->EndCount();
  }
};

const SelectRow kShiftingRows[] = {
    // Without a record.
    {"SynGoesToCurrentAsNew", kSyn, kNone, kNewFlow, kOwner, kNewOnOwner},
    {"AckGoesToStableAsOld", kAck, kNone, kByStable, kStable, kOldOnStable},
    {"DataGoesToStableAsOld", kData, kNone, kByStable, kStable, kOldOnStable},
    {"SynAckGoesToStableAsOld", Tcp(kTcpSyn | kTcpAck), kNone, kByStable, kStable, kOldOnStable},
    {"FinGoesToStableAsClosing", kFin, kNone, kByStable, kStable,
     FlowRecord{kStable, kNow, kOld | kClosing}},
    {"RstGoesToStableUnrecorded", kRst, kNone, kByStable, kStable, kNone},
    {"UdpCountsAsOld", kUdp, kNone, kByStable, kStable, kOldOnStable},

    // With a record.
    {"RecordedStaysOnStable", kData, kOnStable, kRecorded, kStable,
     FlowRecord{kStable, kNow, kOld | kConfirmed}},
    {"RecordedStaysOnCurrent", kData, FlowRecord{kOwner, kBefore, kConfirmed}, kRecorded, kOwner,
     FlowRecord{kOwner, kNow, kConfirmed}},
    {"RecordedStaysOnAThirdBackend", kData, kOnOther, kRecorded, kOther,
     FlowRecord{kOther, kNow, kConfirmed}},
    {"SynRetransmissionStays", kSyn, FlowRecord{kOther, kBefore, 0}, kRecorded, kOther,
     FlowRecord{kOther, kNow, 0}},
    {"SynOnADrainingRecordStaysWhileItIsLive", kSyn, kOnStable, kRecorded, kStable, kOnStable},
    {"SynOnADrainingRecordGoesToCurrent", kSyn,
     FlowRecord{kStable, kNow - kInUseTicks - 1, kOld | kConfirmed}, kReplaced, kOwner,
     kNewOnOwner},
    {"SynOnAClosingRecordGoesToCurrent", kSyn, FlowRecord{kOther, kBefore, kConfirmed | kClosing},
     kReplaced, kOwner, kNewOnOwner},
    {"RstMarksClosingAndMovesNoFlow", kRst, kOnStable, kRecorded, kStable,
     FlowRecord{kStable, kNow, kOld | kConfirmed | kClosing}},

    // With a record that is no longer valid.
    {"ExpiredCountsAsNone", kAck, kExpired, kByStable, kStable, kOldOnStable},
    {"ExpiredAndSynGoesToCurrent", kSyn, kExpired, kReplaced, kOwner, kNewOnOwner},
    {"ExpiredAndRstDoesNotRenewTheRecord", kRst, kExpired, kByStable, kStable, kExpired},
    {"AFlowOfADownBackendGoesToCurrent", kAck, kOnDown, kReplaced, kOwner, kNewOnOwner},
    {"AFlowOfADeletedBackendGoesToCurrent", kAck, kOnGone, kReplaced, kOwner, kNewOnOwner},
    {"ARstOfADownBackendsFlowGoesToCurrent", kRst, kOnDown, kSlot, kOwner, kOnDown},
};

class SelectShifting : public SelectUnsettled {};
TEST_P(SelectShifting, GivesTheExpectedBackendAndRecord) {
  ASSERT_EQ(LoadSlot().state, SlotState::kShifting);
  Check();
}
INSTANTIATE_TEST_SUITE_P(Rows, SelectShifting, ::testing::ValuesIn(kShiftingRows),
                         [](const auto& row) { return std::string(row.param.name); });

// The same packets when the stable owner is down.
const SelectRow kStableDownRows[] = {
    {"Syn", kSyn, kNone, kNewFlow, kOwner, kNewOnOwner},
    {"AckGoesToCurrentAndIsRecorded", kAck, kNone, kNewFlow, kOwner, kNewOnOwner},
    {"Udp", kUdp, kNone, kNewFlow, kOwner, kNewOnOwner},
    {"Rst", kRst, kNone, kSlot, kOwner, kNone},
    {"RecordedOnTheStableOwner", kAck, kOnStable, kReplaced, kOwner, kNewOnOwner},
};
class SelectStableDown : public SelectUnsettled {};
TEST_P(SelectStableDown, NeverUsesTheStableOwner) {
  SnapshotInput input = Adaptive();
  input.services[0].backends.back().state = BackendState::kDown;
  Publish(input);
  ASSERT_EQ(LoadSlot().state, SlotState::kShifting);
  Check();
}
INSTANTIATE_TEST_SUITE_P(Rows, SelectStableDown, ::testing::ValuesIn(kStableDownRows),
                         [](const auto& row) { return std::string(row.param.name); });

const SelectRow kPinnedRows[] = {
    {"SynIsNotRecorded", kSyn, kNone, kSlot, kOwner, kNone},
    {"AckGoesToCurrentUnrecorded", kAck, kNone, kSlot, kOwner, kNone},
    {"UdpGoesToCurrentUnrecorded", kUdp, kNone, kSlot, kOwner, kNone},
    {"RstGoesToCurrent", kRst, kNone, kSlot, kOwner, kNone},
    {"RecordedStays", kData, kOnStable, kRecorded, kStable,
     FlowRecord{kStable, kNow, kOld | kConfirmed}},
    {"SynOnADrainingRecordStaysWhileItIsLive", kSyn, kOnStable, kRecorded, kStable, kOnStable},
    {"SynOnADrainingRecordGoesToCurrent", kSyn,
     FlowRecord{kStable, kNow - kInUseTicks - 1, kOld | kConfirmed}, kReplaced, kOwner,
     kNewOnOwner},
    {"ExpiredCountsAsNone", kAck, kExpired, kSlot, kOwner, kExpired},
    {"AFlowOfADownBackendGoesToCurrent", kAck, kOnDown, kReplaced, kOwner, kNewOnOwner},
    {"AFlowOfADeletedBackendGoesToCurrent", kAck, kOnGone, kReplaced, kOwner, kNewOnOwner},
};
class SelectPinned : public SelectUnsettled {};
TEST_P(SelectPinned, GivesTheExpectedBackendAndRecord) {
  PinTheSlot();
  ASSERT_EQ(LoadSlot().state, SlotState::kPinned);
  Check();
}
INSTANTIATE_TEST_SUITE_P(Rows, SelectPinned, ::testing::ValuesIn(kPinnedRows),
                         [](const auto& row) { return std::string(row.param.name); });

TEST_F(SelectTest, TracksEachProtocolByItsOwnSetting) {
  SnapshotInput input = Input();
  input.services[0].tracking_tcp = Tracking::kNone;
  Publish(input);
  EXPECT_EQ(Select(kAck).reason, SelectReason::kSlot);
  EXPECT_EQ(Select(kUdp).reason, SelectReason::kNewFlow);
}

TEST_F(SelectTest, NeedsNoFlowTableWhenNothingIsTracked) {
  SnapshotInput input = Input();
  input.services[0].tracking_tcp = Tracking::kNone;
  Publish(input);
  const Selection selection = SelectBackend(*tables_, Service(), hash_, kSyn, kNow, nullptr);
  EXPECT_EQ(IdOf(selection), kOwner);
  const uint32_t word = PrefetchRecord(Service(), hash_, kIpProtoTcp, nullptr);
  EXPECT_FALSE(NeedsRecord(Service(), kIpProtoTcp, word));
}

class SelectWithoutOwner : public SelectTest {
 protected:
  void SetUp() override {
    SnapshotInput input = Input();
    for (uint32_t i : {0U, 1U}) input.services[0].backends[i].state = BackendState::kDraining;
    Publish(input);
  }
};

TEST_F(SelectWithoutOwner, HasNoBackendForNewFlows) {
  for (const PacketFacts& facts : {kSyn, kAck, kRst, kUdp}) {
    const Selection selection = Select(facts);
    EXPECT_EQ(selection.reason, SelectReason::kNoBackend);
    EXPECT_EQ(selection.backend_index, kNoIndex);
    EXPECT_FALSE(Get().has_value());
  }
}

TEST_F(SelectWithoutOwner, StillServesRecordedFlows) {
  Put({kOther, kBefore, kConfirmed});
  EXPECT_EQ(IdOf(Select(kAck)), kOther);
}

TEST_F(SelectWithoutOwner, HasNoBackendForASynWhoseRecordIsNoLongerValid) {
  const FlowRecord old{kOther, kNow - kInUseTicks - 1, kConfirmed};
  Put(old);
  EXPECT_EQ(Select(kSyn).reason, SelectReason::kNoBackend);
  EXPECT_EQ(Get()->Pack(), old.Pack());
}

TEST_F(SelectWithoutOwner, HasNoBackendWithoutTrackingEither) {
  SnapshotInput input = Input();
  for (SnapshotBackend& backend : input.services[0].backends) backend.weight = 0;
  input.services[0].tracking_tcp = Tracking::kNone;
  Publish(input);
  EXPECT_EQ(Select(kSyn).reason, SelectReason::kNoBackend);
}

TEST_F(SelectTest, ReportsThatALiveRecordWasEvicted) {
  TableMemory memory(FlowTable::BytesNeeded(8));
  FlowTable full = FlowTable::Format(memory.bytes(), 8);
  for (uint64_t tag = 2; tag < 10; ++tag) {
    ASSERT_EQ(full.Insert({tag, 0}, {kOther, kNow, kConfirmed}, kIdleTicks),
              FlowTable::InsertResult::kStored);
  }
  const Selection selection = SelectBackend(*tables_, Service(), hash_, kSyn, kNow, &full);
  EXPECT_EQ(selection.reason, SelectReason::kNewFlow);
  EXPECT_TRUE(selection.evicted);
}

TEST_F(SelectTest, SelectsTheOwnerUntrackedIfNoRecordIsFree) {
  TableMemory memory(FlowTable::BytesNeeded(8));
  FlowTable busy = FlowTable::Format(memory.bytes(), 8);
  for (size_t i = 0; i < 8; ++i) memory.Put<uint64_t>(64 + i * 16, 1);  // all being written
  const Selection selection = SelectBackend(*tables_, Service(), hash_, kSyn, kNow, &busy);
  EXPECT_EQ(selection.reason, SelectReason::kUntracked);
  EXPECT_EQ(IdOf(selection), kOwner);
}

TEST_F(SelectTest, DistinguishesServicesWithTheSameHash) {
  EXPECT_EQ(Select(kSyn).reason, SelectReason::kNewFlow);
  const Selection other =
      SelectBackend(*tables_, tables_->services()[1], hash_, kSyn, kNow, &flows_);
  EXPECT_EQ(other.reason, SelectReason::kNewFlow);
  EXPECT_EQ(IdOf(other), kForeign);
  EXPECT_EQ(Get()->backend_id, kOwner);
}

// Flows that are live during a change stay on their backend. New ones follow the new tables.
class SelectThroughADrain : public SelectTest, public ::testing::WithParamInterface<Tracking> {};

TEST_P(SelectThroughADrain, KeepsFlowsOnTheirBackend) {
  SnapshotInput input = Input();
  input.services[0].tracking_tcp = GetParam();
  Publish(input);
  ASSERT_EQ(IdOf(Select(kSyn)), kOwner);
  input.services[0].backends[0].state = BackendState::kDraining;
  Publish(input);
  EXPECT_NE(tables_->backends()[SlotOwner(Service(), hash_)].id, kOwner);
  EXPECT_EQ(IdOf(Select(kData)), kOwner);
  EXPECT_EQ(IdOf(Select(kFin)), kOwner);
  const Selection next = Select(kSyn);
  EXPECT_EQ(next.reason, SelectReason::kReplaced);
  EXPECT_EQ(IdOf(next), kOther);
  input.services[0].backends[0].state = BackendState::kActive;
  Publish(input);
  EXPECT_EQ(IdOf(Select(kData)), kOther);
}
INSTANTIATE_TEST_SUITE_P(Tracking, SelectThroughADrain,
                         ::testing::Values(Tracking::kAll, Tracking::kAdaptive));

TEST(SelectReasonText, IsADifferentSentenceForEachReason) {
  std::set<std::string_view> texts;
  for (int i = 0; i <= static_cast<int>(SelectReason::kNoBackend); ++i) {
    const std::string_view text = SelectReasonText(static_cast<SelectReason>(i));
    EXPECT_TRUE(text.ends_with('.'));
    EXPECT_TRUE(texts.insert(text).second);
  }
}

}  // namespace
}  // namespace fairlead
