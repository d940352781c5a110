#include "lib/flow/flow_table.h"

#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/flow/table_memory.h"
#include "tests/unit/rounds.h"

namespace fairlead {
namespace {

using testing::TableMemory;
using InsertResult = FlowTable::InsertResult;

constexpr uint32_t kNow = 1000;
constexpr uint32_t kIdle = 400;

// A key whose candidate buckets are 0 and 1.
RecordKey KeyInOnePair(uint64_t tag) { return {tag, uint64_t{1} << 32}; }

struct Fixture {
  explicit Fixture(uint64_t records)
      : memory(FlowTable::BytesNeeded(records)),
        table(FlowTable::Format(memory.bytes(), records)) {}

  // The record of `tag` as a sweep sees it; backend id 0 if there is none.
  FlowRecord Get(uint64_t tag) const {
    FlowRecord found;
    table.Sweep(0, table.bucket_count(),
                [&](uint32_t, uint32_t, uint64_t t, const FlowRecord& record) {
                  if (t == tag) found = record;
                });
    return found;
  }

  TableMemory memory;
  FlowTable table;
};

TEST(FlowRecord, SurvivesPackingWithExtremeFields) {
  const FlowRecord record{UINT32_MAX, kTickMask, 0xff};
  EXPECT_EQ(record.Pack(), UINT64_MAX);
  const FlowRecord back = FlowRecord::Unpack(record.Pack());
  EXPECT_EQ(back.backend_id, UINT32_MAX);
  EXPECT_EQ(back.last_seen_tick, kTickMask);
  EXPECT_EQ(back.flags, 0xff);
}

TEST(FlowRecord, AgesAcrossTheWrapOfTheClock) {
  const FlowRecord record{1, kTickMask - 1, 0};
  EXPECT_EQ(record.AgeTicks(3), 5U);
  EXPECT_EQ(record.AgeTicks(uint32_t{3} + kTickMask + 1), 5U);
}

TEST(FlowRecord, HasAgeZeroIfSeenByAClockAhead) {
  EXPECT_EQ((FlowRecord{1, kNow + 1, 0}).AgeTicks(kNow), 0U);
  EXPECT_EQ((FlowRecord{1, kNow + kClockSlackTicks, 0}).AgeTicks(kNow), 0U);
  EXPECT_FALSE(IsExpired({1, kNow + 1, 0}, kNow, kIdle));
}

TEST(IsExpired, IsTrueAfterTheIdleTimeoutAndNotBefore) {
  const FlowRecord record{1, kNow, kRecordConfirmed};
  EXPECT_FALSE(IsExpired(record, kNow + kIdle, kIdle));
  EXPECT_TRUE(IsExpired(record, kNow + kIdle + 1, kIdle));
}

TEST(IsExpired, IsTrueSoonerForAClosingFlow) {
  const FlowRecord record{1, kNow, kRecordConfirmed | kRecordClosing};
  EXPECT_FALSE(IsExpired(record, kNow + kClosingTicks, kIdle));
  EXPECT_TRUE(IsExpired(record, kNow + kClosingTicks + 1, kIdle));
}

TEST(RecordKey, NeverUsesTheReservedTags0And1) {
  const FlowHash salt{0x55, 0x66};
  EXPECT_EQ(RecordKey::Make({0x55, 0}, salt).tag, 2U);
  EXPECT_EQ(RecordKey::Make({0x54, 0}, salt).tag, 3U);
  EXPECT_EQ(RecordKey::Make({0x57, 0}, salt).tag, 2U);
}

TEST(RecordKey, GivesTheSlotWhenTheSaltIsRemoved) {
  const FlowHash salt = SaltOfService(7);
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    const FlowHash hash{random(), random()};
    const RecordKey key = RecordKey::Make(hash, salt);
    EXPECT_EQ(SlotIndex({key.tag ^ salt.low, 0}, 65537), SlotIndex(hash, 65537));
  }
}

TEST(FlowTable, RoundsItsSizeUpToAPowerOfTwoOfBuckets) {
  EXPECT_EQ(FlowTable::BytesNeeded(0), 64U + 2 * 64);
  EXPECT_EQ(FlowTable::BytesNeeded(8), 64U + 2 * 64);
  EXPECT_EQ(FlowTable::BytesNeeded(9), 64U + 4 * 64);
  EXPECT_EQ(FlowTable::BytesNeeded(1U << 20), 64U + (uint64_t{16} << 20));
  EXPECT_EQ(Fixture(9).table.capacity_records(), 16U);
}

TEST(FlowTable, FindsTheInsertedRecordAndNoOther) {
  Fixture f(64);
  const RecordKey key{77, 0x0000000300000001};
  FlowTable::Handle handle;
  EXPECT_FALSE(f.table.Find(key, &handle));
  EXPECT_EQ(f.table.Insert(key, {5, kNow, kRecordOld}, kIdle), InsertResult::kStored);
  ASSERT_TRUE(f.table.Find(key, &handle));
  EXPECT_EQ(handle.value, (FlowRecord{5, kNow, kRecordOld}).Pack());
  EXPECT_FALSE(f.table.Find({78, key.buckets}, &handle));
  EXPECT_FALSE(f.table.Find({77, 0x0000000500000004}, &handle));
}

TEST(FlowTable, UsesTwoBucketsIfBothHalvesOfTheKeySelectTheSameOne) {
  Fixture f(64);
  const uint64_t buckets = 0x0000000600000006;
  for (uint64_t tag = 10; tag < 18; ++tag) {
    EXPECT_EQ(f.table.Insert({tag, buckets}, {5, kNow, 0}, kIdle), InsertResult::kStored) << tag;
  }
  EXPECT_EQ(f.table.Insert({18, buckets}, {5, kNow, 0}, kIdle), InsertResult::kEvicted);
}

TEST(FlowTable, RefusesASecondRecordOfAFlow) {
  Fixture f(8);
  ASSERT_EQ(f.table.Insert(KeyInOnePair(9), {5, kNow, 0}, kIdle), InsertResult::kStored);
  EXPECT_EQ(f.table.Insert(KeyInOnePair(9), {6, kNow, 0}, kIdle), InsertResult::kContended);
  EXPECT_EQ(f.Get(9).backend_id, 5U);
}

TEST(FlowTable, UpdatesARecordInPlace) {
  Fixture f(8);
  FlowTable::Handle handle;
  ASSERT_EQ(f.table.Insert(KeyInOnePair(9), {5, kNow, 0}, kIdle), InsertResult::kStored);
  ASSERT_TRUE(f.table.Find(KeyInOnePair(9), &handle));
  EXPECT_TRUE(f.table.Update(KeyInOnePair(9), handle, {5, kNow + 1, kRecordConfirmed}));
  EXPECT_EQ(f.Get(9).last_seen_tick, kNow + 1);
  EXPECT_EQ(f.Get(9).flags, kRecordConfirmed);
}

TEST(FlowTable, MovesARecordToAnotherBackend) {
  Fixture f(8);
  FlowTable::Handle handle;
  ASSERT_EQ(f.table.Insert(KeyInOnePair(9), {5, kNow, 0}, kIdle), InsertResult::kStored);
  ASSERT_TRUE(f.table.Find(KeyInOnePair(9), &handle));
  EXPECT_TRUE(f.table.Update(KeyInOnePair(9), handle, {6, kNow, 0}));
  EXPECT_EQ(f.Get(9).backend_id, 6U);
}

TEST(FlowTable, RefusesAnUpdateWithAStaleValue) {
  Fixture f(8);
  FlowTable::Handle handle;
  ASSERT_EQ(f.table.Insert(KeyInOnePair(9), {5, kNow, 0}, kIdle), InsertResult::kStored);
  ASSERT_TRUE(f.table.Find(KeyInOnePair(9), &handle));
  ASSERT_TRUE(f.table.Update(KeyInOnePair(9), handle, {5, kNow + 1, 0}));
  EXPECT_FALSE(f.table.Update(KeyInOnePair(9), handle, {5, kNow + 2, 0}));
  EXPECT_FALSE(f.table.Update(KeyInOnePair(9), handle, {6, kNow + 2, 0}));
  EXPECT_EQ(f.Get(9).Pack(), (FlowRecord{5, kNow + 1, 0}).Pack());
}

// The record belongs to another flow now, and has the same value as when the handle was read.
TEST(FlowTable, RefusesAnUpdateOfARecordThatNowBelongsToAnotherFlow) {
  Fixture f(8);
  FlowTable::Handle handle;
  ASSERT_EQ(f.table.Insert(KeyInOnePair(9), {5, kNow, 0}, kIdle), InsertResult::kStored);
  ASSERT_TRUE(f.table.Find(KeyInOnePair(9), &handle));
  ASSERT_TRUE(f.table.Erase(handle.bucket, handle.index, 9, handle.value));
  ASSERT_EQ(f.table.Insert(KeyInOnePair(10), {5, kNow, 0}, kIdle), InsertResult::kStored);
  FlowTable::Handle other;
  ASSERT_TRUE(f.table.Find(KeyInOnePair(10), &other));
  ASSERT_EQ(std::tuple(other.bucket, other.index, other.value),
            std::tuple(handle.bucket, handle.index, handle.value));
  EXPECT_FALSE(f.table.Update(KeyInOnePair(9), handle, {5, kNow + 1, 0}));
  EXPECT_FALSE(f.table.Update(KeyInOnePair(9), handle, {6, kNow, 0}));
  EXPECT_EQ(f.Get(10).Pack(), (FlowRecord{5, kNow, 0}).Pack());
}

TEST(FlowTable, ErasesARecordOnlyIfTagAndValueAreUnchanged) {
  Fixture f(8);
  FlowTable::Handle handle;
  ASSERT_EQ(f.table.Insert(KeyInOnePair(9), {5, kNow, 0}, kIdle), InsertResult::kStored);
  ASSERT_TRUE(f.table.Find(KeyInOnePair(9), &handle));
  EXPECT_FALSE(f.table.Erase(handle.bucket, handle.index, 10, handle.value));
  EXPECT_FALSE(f.table.Erase(handle.bucket, handle.index, 9, handle.value + 1));
  EXPECT_FALSE(f.table.Erase(handle.bucket, handle.index, 0, handle.value));
  EXPECT_EQ(f.Get(9).backend_id, 5U);
  EXPECT_TRUE(f.table.Erase(handle.bucket, handle.index, 9, handle.value));
  EXPECT_FALSE(f.table.Find(KeyInOnePair(9), &handle));
}

TEST(FlowTable, SweepsTheRequestedBucketsAndStopsAtTheEnd) {
  Fixture f(64);  // 16 buckets
  for (uint64_t b = 0; b < 16; ++b) {
    ASSERT_EQ(f.table.Insert({100 + b, b | (b ^ 1) << 32}, {1, kNow, 0}, kIdle),
              InsertResult::kStored);
  }
  std::vector<uint64_t> tags;
  const auto visit = [&](uint32_t, uint32_t, uint64_t tag, const FlowRecord&) {
    tags.push_back(tag);
  };
  f.table.Sweep(3, 2, visit);
  EXPECT_EQ(tags, (std::vector<uint64_t>{103, 104}));
  tags.clear();
  f.table.Sweep(15, UINT64_MAX, visit);
  EXPECT_EQ(tags, (std::vector<uint64_t>{115}));
  tags.clear();
  f.table.Sweep(16, 1, visit);
  EXPECT_TRUE(tags.empty());
}

TEST(FlowTable, EvictsNoLiveRecordBeforeItIsNearlyHalfFull) {
  Fixture f(1U << 16);
  std::mt19937_64 random(7);
  uint64_t stored = 0;
  while (f.table.Insert(RecordKey::Make({random(), random()}, {}), {1, kNow, 0}, kIdle) ==
         InsertResult::kStored) {
    ++stored;
  }
  const double share = static_cast<double>(stored) / static_cast<double>(1U << 16);
  std::printf("first eviction at %.1f %% full (seed 7)\n", share * 100);
  EXPECT_GT(share, 0.45);  // always taking the first bucket with a free record would give 0.2
}

// In each row, eight records fill both buckets. A ninth flow comes at kNow and must evict the
// record with tag 100 + victim.
struct EvictionRow {
  const char* name;
  FlowRecord records[8];
  uint64_t victim;
  InsertResult result;
};

constexpr uint8_t kLive = kRecordConfirmed;

const EvictionRow kEvictionRows[] = {
    {"ExpiredBeforeClosing",
     {{1, kNow - 9, kLive},
      {1, kNow, kLive | kRecordClosing},
      {1, kNow - kIdle - 1, kLive},
      {1, kNow, kRecordOld},
      {1, kNow, 0},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow, kLive}},
     2,
     InsertResult::kStored},
    {"ClosedLongEnoughIsExpired",
     {{1, kNow, kLive},
      {1, kNow, kRecordOld},
      {1, kNow, 0},
      {1, kNow, kLive},
      {1, kNow - 1, kLive | kRecordClosing},
      {1, kNow, kLive},
      {1, kNow - kClosingTicks - 1, kLive | kRecordClosing},
      {1, kNow, kLive}},
     6,
     InsertResult::kStored},
    {"ClosingBeforeUnconfirmed",
     {{1, kNow - 99, kLive},
      {1, kNow - 99, kRecordOld},
      {1, kNow - 99, 0},
      {1, kNow - 1, kLive | kRecordClosing},
      {1, kNow, kLive | kRecordClosing},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow, kLive}},
     3,
     InsertResult::kEvicted},
    {"UnconfirmedBeforeOldClass",
     {{1, kNow - 99, kLive},
      {1, kNow - 99, kLive | kRecordOld},
      {1, kNow - 99, kRecordOld},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow, 0},
      {1, kNow - 2, 0},
      {1, kNow, kLive}},
     6,
     InsertResult::kEvicted},
    {"OldClassBeforeTheRest",
     {{1, kNow - 99, kLive},
      {1, kNow, kLive},
      {1, kNow, kRecordOld},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow - 1, kLive | kRecordOld},
      {1, kNow, kLive},
      {1, kNow, kLive}},
     5,
     InsertResult::kEvicted},
    {"UnconfirmedBeforeOldest",
     {{1, kNow - 99, kLive},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow, kLive},
      {1, kNow, 0}},
     7,
     InsertResult::kEvicted},
    {"OldestOfEquals",
     {{1, kNow - 3, kLive},
      {1, kNow - 4, kLive},
      {1, kNow - 1, kLive},
      {1, kNow - 2, kLive},
      {1, kNow - 5, kLive},
      {1, kNow - 4, kLive},
      {1, kNow + 1, kLive},
      {1, kNow, kLive}},
     4,
     InsertResult::kEvicted},
};

class Eviction : public ::testing::TestWithParam<EvictionRow> {};

TEST_P(Eviction, EvictsTheExpectedRecord) {
  const EvictionRow& row = GetParam();
  Fixture f(8);
  for (uint64_t i = 0; i < 8; ++i) {
    ASSERT_EQ(f.table.Insert(KeyInOnePair(100 + i), row.records[i], kIdle), InsertResult::kStored);
  }
  EXPECT_EQ(f.table.Insert(KeyInOnePair(200), {2, kNow, 0}, kIdle), row.result);
  EXPECT_EQ(f.Get(200).backend_id, 2U);
  for (uint64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(f.Get(100 + i).backend_id, i == row.victim ? 0U : 1U) << "record " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Order, Eviction, ::testing::ValuesIn(kEvictionRows),
                         [](const auto& row) { return std::string(row.param.name); });

// A flood of single packets, ten times the table's size, while there are confirmed flows.
TEST(FlowTable, SynFloodEvictsNoConfirmedFlow) {
  Fixture f(1U << 12);
  std::mt19937_64 random(11);
  std::vector<RecordKey> confirmed;
  for (int i = 0; i < 1500; ++i) {
    confirmed.push_back(RecordKey::Make({random(), random()}, {}));
    ASSERT_EQ(f.table.Insert(confirmed.back(), {3, kNow, kRecordConfirmed}, kIdle),
              InsertResult::kStored);
  }
  for (uint32_t i = 0; i < 10U << 12; ++i) {
    f.table.Insert(RecordKey::Make({random(), random()}, {}), {4, kNow + 1 + i / 4096, 0}, kIdle);
  }
  uint32_t lost = 0;
  FlowTable::Handle handle;
  for (const RecordKey& key : confirmed) lost += f.table.Find(key, &handle) ? 0 : 1;
  EXPECT_EQ(lost, 0U);
}

// The model: every record that must be in the table, and its bucket.
class Model {
 public:
  explicit Model(uint32_t buckets) : buckets_(buckets) {}

  struct Entry {
    uint64_t bucket;
    FlowRecord record;
  };
  std::map<uint64_t, Entry> entries;

  static std::pair<uint64_t, uint64_t> Candidates(const RecordKey& key, uint64_t buckets) {
    const uint64_t a = (key.buckets & 0xffffffff) % buckets;
    uint64_t b = (key.buckets >> 32) % buckets;
    if (b == a) b = a % 2 == 0 ? a + 1 : a - 1;
    return {a, b};
  }

  // (class, negative age): the smallest is evicted first.
  static std::tuple<int, int64_t> Order(const FlowRecord& record, uint32_t now, uint32_t idle) {
    const int64_t age = (now - record.last_seen_tick) & kTickMask;
    if (age > idle) return {0, -age};
    if (record.flags & kRecordClosing) return {age > kClosingTicks ? 0 : 1, -age};
    if (record.flags & kRecordOld) return {3, -age};
    if (!(record.flags & kRecordConfirmed)) return {2, -age};
    return {4, -age};
  }

  // Checks what Insert did against the rules, and does the same in the model.
  void Inserted(const RecordKey& key, const FlowRecord& record, uint32_t idle, InsertResult result,
                const std::map<uint64_t, Entry>& table_after) {
    ASSERT_TRUE(table_after.contains(key.tag));
    const uint64_t bucket = table_after.at(key.tag).bucket;
    const auto [a, b] = Candidates(key, buckets_);
    ASSERT_TRUE(bucket == a || bucket == b);
    if (Count(a) < 4 || Count(b) < 4) {
      ASSERT_EQ(result, InsertResult::kStored);
      ASSERT_LE(Count(bucket), Count(bucket == a ? b : a)) << "the fuller bucket was taken";
    } else {
      RemoveVictim(a, b, record.last_seen_tick, idle, result, table_after);
    }
    entries[key.tag] = {bucket, record};
  }

 private:
  size_t Count(uint64_t bucket) const {
    size_t count = 0;
    for (const auto& [tag, entry] : entries) count += entry.bucket == bucket ? 1 : 0;
    return count;
  }

  void RemoveVictim(uint64_t a, uint64_t b, uint32_t now, uint32_t idle, InsertResult result,
                    const std::map<uint64_t, Entry>& table_after) {
    std::tuple<int, int64_t> first{99, 0};
    uint64_t victim = 0;
    for (const auto& [tag, entry] : entries) {
      if (entry.bucket == a || entry.bucket == b) {
        first = std::min(first, Order(entry.record, now, idle));
      }
      if (!table_after.contains(tag)) victim = tag;
    }
    ASSERT_TRUE(entries.contains(victim));
    ASSERT_EQ(Order(entries.at(victim).record, now, idle), first);
    ASSERT_EQ(result, std::get<0>(first) == 0 ? InsertResult::kStored : InsertResult::kEvicted);
    entries.erase(victim);
  }

  uint64_t buckets_;
};

std::map<uint64_t, Model::Entry> Contents(const FlowTable& table) {
  std::map<uint64_t, Model::Entry> contents;
  table.Sweep(0, table.bucket_count(),
              [&](uint32_t bucket, uint32_t, uint64_t tag, const FlowRecord& record) {
                EXPECT_TRUE(contents.emplace(tag, Model::Entry{bucket, record}).second);
              });
  return contents;
}

void ExpectSame(const std::map<uint64_t, Model::Entry>& a,
                const std::map<uint64_t, Model::Entry>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (auto i = a.begin(), j = b.begin(); i != a.end(); ++i, ++j) {
    ASSERT_EQ(i->first, j->first);
    ASSERT_EQ(i->second.bucket, j->second.bucket);
    ASSERT_EQ(i->second.record.Pack(), j->second.record.Pack());
  }
}

void RunAgainstModel(uint32_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const uint64_t buckets = uint64_t{2} << random() % 4;
  Fixture f(buckets * 4);
  Model model(static_cast<uint32_t>(buckets));
  std::vector<RecordKey> keys;
  for (uint64_t i = 0; i < buckets * 6; ++i) keys.push_back({random() | 2, random()});
  uint32_t now = kTickMask - 500;  // the ticks wrap during the test
  for (int step = 0; step < 3000; ++step) {
    now = (now + static_cast<uint32_t>(random() % 3)) & kTickMask;
    const RecordKey& key = keys[random() % keys.size()];
    const FlowRecord record{static_cast<uint32_t>(random() % 3 + 1), now,
                            static_cast<uint8_t>(random() % 8)};
    FlowTable::Handle handle;
    const bool found = f.table.Find(key, &handle);
    ASSERT_EQ(found, model.entries.contains(key.tag));
    if (!found) {
      const InsertResult result = f.table.Insert(key, record, 60);
      model.Inserted(key, record, 60, result, Contents(f.table));
      if (::testing::Test::HasFatalFailure()) return;
    } else if (random() % 4 == 0) {
      ASSERT_TRUE(f.table.Erase(handle.bucket, handle.index, key.tag, handle.value));
      model.entries.erase(key.tag);
    } else {
      ASSERT_EQ(handle.value, model.entries.at(key.tag).record.Pack());
      ASSERT_TRUE(f.table.Update(key, handle, record));
      model.entries.at(key.tag).record = record;
    }
    ExpectSame(Contents(f.table), model.entries);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(FlowTable, BehavesLikeAPlainMapUnderRandomOperations) {
  for (uint32_t seed = 1; seed <= Rounds(20); ++seed) RunAgainstModel(seed);
}

// Offsets as in the layout of flow_table.h.
constexpr size_t kMagicOffset = 0;
constexpr size_t kVersionOffset = 8;
constexpr size_t kBucketCountOffset = 16;
constexpr size_t RecordOffset(uint64_t bucket, uint32_t index) {
  return 64 + bucket * 64 + index * 16;
}

TEST(FlowTableAttach, TakesOverTheRecordsOfAnEarlierTable) {
  Fixture f(64);
  const RecordKey key{77, 0x0000000300000001};
  ASSERT_EQ(f.table.Insert(key, {5, kNow, kRecordConfirmed}, kIdle), InsertResult::kStored);
  Result<FlowTable> again = FlowTable::Attach(f.memory.bytes());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->capacity_records(), 64U);
  FlowTable::Handle handle;
  ASSERT_TRUE(again->Find(key, &handle));
  EXPECT_EQ(handle.value, (FlowRecord{5, kNow, kRecordConfirmed}).Pack());
}

TEST(FlowTableAttach, CountsTheRecordsAsCountDoes) {
  Fixture f(64);
  for (uint64_t tag = 9; tag < 12; ++tag) {
    ASSERT_EQ(f.table.Insert(KeyInOnePair(tag), {5, kNow, 0}, kIdle), InsertResult::kStored);
  }
  f.memory.Put<uint64_t>(RecordOffset(7, 3), 1);  // being written
  const auto census = FlowTable::Count(f.memory.bytes());
  ASSERT_TRUE(census.ok()) << census.status().message();
  EXPECT_EQ(census->records, 3U);
  EXPECT_EQ(census->capacity_records, 64U);
  uint64_t records = 0;
  ASSERT_TRUE(FlowTable::Attach(f.memory.bytes(), &records).ok());
  EXPECT_EQ(records, 3U);
  f.memory.Put<uint32_t>(kVersionOffset, 2);
  EXPECT_EQ(FlowTable::Count(f.memory.bytes()).status().code(), ErrorCode::kFailedPrecondition);
}

TEST(FlowTableAttach, FreesRecordsThatWereBeingWritten) {
  Fixture f(8);
  ASSERT_EQ(f.table.Insert(KeyInOnePair(9), {5, kNow, 0}, kIdle), InsertResult::kStored);
  f.memory.Put<uint64_t>(RecordOffset(1, 3), 1);
  f.memory.Put<uint64_t>(RecordOffset(1, 3) + 8, 0x1234567812345678);
  Result<FlowTable> again = FlowTable::Attach(f.memory.bytes());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(f.Get(9).backend_id, 5U);
  for (uint64_t tag = 10; tag < 17; ++tag) {  // all seven other records are free
    EXPECT_EQ(again->Insert(KeyInOnePair(tag), {5, kNow, 0}, kIdle), InsertResult::kStored);
  }
}

TEST(FlowTableAttach, AcceptsRecordsOfAnyBytes) {
  Fixture f(1024);
  std::mt19937_64 random(3);
  for (uint64_t b = 0; b < 256; ++b) {
    for (uint32_t i = 0; i < 4; ++i) {
      f.memory.Put<uint64_t>(RecordOffset(b, i), random() % 8);
      f.memory.Put<uint64_t>(RecordOffset(b, i) + 8, random());
    }
  }
  Result<FlowTable> again = FlowTable::Attach(f.memory.bytes());
  ASSERT_TRUE(again.ok());
  for (uint32_t i = 0; i < 5000; ++i) {
    const RecordKey key = RecordKey::Make({random(), random()}, {});
    FlowTable::Handle handle;
    ASSERT_FALSE(again->Find(key, &handle));
    ASSERT_NE(again->Insert(key, {9, kNow, 0}, kIdle), InsertResult::kContended);
    ASSERT_TRUE(again->Find(key, &handle));
    ASSERT_EQ(FlowRecord::Unpack(handle.value).backend_id, 9U);
  }
}

TEST(FlowTableAttach, RefusesMemoryTooShortForAHeader) {
  Fixture f(8);
  const Result<FlowTable> again = FlowTable::Attach(f.memory.bytes().first(63));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.status().code(), ErrorCode::kDataLoss);
}

TEST(FlowTableAttach, RefusesMemoryWithoutTheMagic) {
  Fixture f(8);
  f.memory.Put<uint64_t>(kMagicOffset, 0);
  EXPECT_EQ(FlowTable::Attach(f.memory.bytes()).status().code(), ErrorCode::kDataLoss);
}

TEST(FlowTableAttach, RefusesAnotherLayoutVersionAndNamesIt) {
  Fixture f(8);
  f.memory.Put<uint32_t>(kVersionOffset, 2);
  const Result<FlowTable> again = FlowTable::Attach(f.memory.bytes());
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.status().code(), ErrorCode::kFailedPrecondition);
  EXPECT_NE(again.status().message().find("layout version: 2"), std::string::npos);
}

TEST(FlowTableAttach, RefusesABucketCountThatDoesNotFit) {
  for (const uint64_t count :
       {uint64_t{0}, uint64_t{1}, uint64_t{3}, uint64_t{4}, uint64_t{1} << 32, uint64_t{1} << 33,
        uint64_t{1} << 58, UINT64_MAX}) {
    Fixture f(8);
    f.memory.Put<uint64_t>(kBucketCountOffset, count);
    const Result<FlowTable> again = FlowTable::Attach(f.memory.bytes());
    ASSERT_FALSE(again.ok()) << count;
    EXPECT_EQ(again.status().code(), ErrorCode::kDataLoss);
  }
}

TEST(FlowTableAttach, RefusesATruncatedMapping) {
  Fixture f(64);
  const auto bytes = f.memory.bytes();
  EXPECT_FALSE(FlowTable::Attach(bytes.first(bytes.size() - 64)).ok());
}

}  // namespace
}  // namespace fairlead
