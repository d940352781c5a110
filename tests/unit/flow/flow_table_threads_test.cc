// Workers and a sweeper share one small table, under ThreadSanitizer. Checks what only races can
// break: no value is ever read or stored under another flow's tag.
#include <array>
#include <atomic>
#include <barrier>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "lib/flow/flow_table.h"
#include "tests/unit/flow/table_memory.h"

namespace fairlead {
namespace {

using testing::TableMemory;

constexpr uint32_t kWorkers = 3;
constexpr uint32_t kFlowsPerWorker = 300'000;
constexpr uint64_t kRecords = 64;  // few, so that workers often access the same bucket
constexpr uint32_t kIdle = 1000;

// Each flow has 16 backend ids that no other flow uses, so a value tells its flow.
uint32_t BackendOf(uint64_t flow, uint64_t choice) {
  return static_cast<uint32_t>(flow * 16 + choice % 16);
}
uint64_t FlowOf(const FlowRecord& record) { return record.backend_id / 16; }

RecordKey KeyOf(uint64_t flow) {
  // Any mixing of the bucket choice works. The tag must tell the flow.
  uint64_t mixed = flow * 0x9e3779b97f4a7c15;
  mixed ^= mixed >> 29;
  return {flow + 2, mixed * 0xbf58476d1ce4e5b9};
}
uint64_t FlowOfTag(uint64_t tag) { return tag - 2; }

struct Shared {
  TableMemory memory{FlowTable::BytesNeeded(kRecords)};
  FlowTable table = FlowTable::Format(memory.bytes(), kRecords);
  std::array<std::atomic<uint64_t>, kWorkers> newest = {};  // flow numbers, by worker
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> updates{0};
  std::atomic<uint64_t> moves{0};
  std::atomic<bool> stop{false};
  std::barrier<> start{kWorkers};  // all workers start together
};

// Updates, moves or erases a recent flow of any worker.
void DisturbOne(Shared* shared, std::mt19937_64* random, uint32_t tick) {
  const uint64_t newest = shared->newest[(*random)() % kWorkers].load(std::memory_order_relaxed);
  const uint64_t back = (*random)() % 16 * kWorkers;
  const uint64_t flow = newest > back ? newest - back : newest;
  const RecordKey key = KeyOf(flow);
  FlowTable::Handle handle;
  if (!shared->table.Find(key, &handle)) return;
  FlowRecord record = FlowRecord::Unpack(handle.value);
  if (FlowOf(record) != flow) shared->wrong.fetch_add(1);
  record.last_seen_tick = tick;
  record.flags = static_cast<uint8_t>((*random)() % 8);
  const uint64_t what = (*random)() % 8;
  if (what == 0) {
    shared->table.Erase(handle.bucket, handle.index, key.tag, handle.value);
  } else if (what < 4) {
    record.backend_id = BackendOf(flow, (*random)());
    shared->moves.fetch_add(shared->table.Update(key, handle, record) ? 1 : 0);
  } else {
    shared->updates.fetch_add(shared->table.Update(key, handle, record) ? 1 : 0);
  }
}

// One worker inserts each flow, once. An erased tag never comes back, so every value that is read
// under a tag must belong to that flow.
void Work(Shared* shared, uint32_t worker) {
  std::mt19937_64 random(100 + worker);
  shared->start.arrive_and_wait();
  for (uint64_t n = 0; n < kFlowsPerWorker; ++n) {
    const uint64_t flow = n * kWorkers + worker;
    const auto tick = static_cast<uint32_t>(n / 16);
    const FlowRecord record{BackendOf(flow, random()), tick, static_cast<uint8_t>(random() % 8)};
    shared->table.Insert(KeyOf(flow), record, kIdle);
    shared->newest[worker].store(flow, std::memory_order_relaxed);
    for (int i = 0; i < 4; ++i) DisturbOne(shared, &random, tick);
  }
}

void SweepUntilStopped(Shared* shared) {
  while (!shared->stop.load(std::memory_order_relaxed)) {
    shared->table.Sweep(
        0, shared->table.bucket_count(),
        [&](uint32_t bucket, uint32_t index, uint64_t tag, const FlowRecord& record) {
          if (FlowOf(record) != FlowOfTag(tag)) shared->wrong.fetch_add(1);
          if (record.backend_id % 64 == 0) {
            shared->table.Erase(bucket, index, tag, record.Pack());
          }
        });
  }
}

TEST(FlowTableThreads, NoFlowEverReadsAnotherFlowsRecord) {
  Shared shared;
  std::vector<std::thread> workers;
  std::thread sweeper(SweepUntilStopped, &shared);
  for (uint32_t w = 0; w < kWorkers; ++w) workers.emplace_back(Work, &shared, w);
  for (std::thread& worker : workers) worker.join();
  shared.stop.store(true);
  sweeper.join();
  EXPECT_EQ(shared.wrong.load(), 0U);
  EXPECT_GT(shared.updates.load(), 1000U);
  EXPECT_GT(shared.moves.load(), 1000U);
  std::set<uint64_t> tags;
  shared.table.Sweep(0, shared.table.bucket_count(),
                     [&](uint32_t, uint32_t, uint64_t tag, const FlowRecord& record) {
                       EXPECT_EQ(FlowOf(record), FlowOfTag(tag));
                       EXPECT_TRUE(tags.insert(tag).second) << "two records have tag " << tag;
                     });
  EXPECT_GT(tags.size(), kRecords / 2);
}

// All workers insert, move and erase the same few flows over and over. While they run, a reader may
// get another flow's value (flow_table.h). After they stop, every record must hold its own flow's
// value, and no record may be left half-written.
void Churn(Shared* shared, uint32_t worker) {
  std::mt19937_64 random(200 + worker);
  shared->start.arrive_and_wait();
  for (uint32_t n = 0; n < kFlowsPerWorker; ++n) {
    const uint64_t flow = random() % (kRecords * 2);
    const RecordKey key = KeyOf(flow);
    const FlowRecord record{BackendOf(flow, random()), n / 16, static_cast<uint8_t>(random() % 8)};
    FlowTable::Handle handle;
    if (!shared->table.Find(key, &handle)) {
      shared->table.Insert(key, record, kIdle);
    } else if (random() % 4 == 0) {
      shared->table.Erase(handle.bucket, handle.index, key.tag, handle.value);
    } else if (FlowOf(FlowRecord::Unpack(handle.value)) == flow) {
      shared->table.Update(key, handle, record);
    }
  }
}

TEST(FlowTableThreads, LeavesEveryRecordCompleteAfterAllWorkersChangedTheSameFlows) {
  Shared shared;
  std::vector<std::thread> workers;
  for (uint32_t w = 0; w < kWorkers; ++w) workers.emplace_back(Churn, &shared, w);
  for (std::thread& worker : workers) worker.join();
  uint64_t seen = 0;
  shared.table.Sweep(0, shared.table.bucket_count(),
                     [&](uint32_t, uint32_t, uint64_t tag, const FlowRecord& record) {
                       ++seen;
                       EXPECT_EQ(FlowOf(record), FlowOfTag(tag));
                     });
  EXPECT_GT(seen, 0U);
  // A record that was left half-written would never become free.
  for (uint64_t flow = 1000; flow < 1000 + 4 * kRecords; ++flow) {
    EXPECT_NE(shared.table.Insert(KeyOf(flow), {BackendOf(flow, 0), 1U << 20, 0}, kIdle),
              FlowTable::InsertResult::kContended);
  }
  std::set<uint64_t> positions;
  shared.table.Sweep(0, shared.table.bucket_count(),
                     [&](uint32_t bucket, uint32_t index, uint64_t, const FlowRecord&) {
                       positions.insert(uint64_t{bucket} << 32 | index);
                     });
  EXPECT_EQ(positions.size(), kRecords);
}

}  // namespace
}  // namespace fairlead
