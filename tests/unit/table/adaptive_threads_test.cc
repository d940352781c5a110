// Adaptive tracking with several threads, under ThreadSanitizer. Workers send packets of flows
// while a management thread exchanges tables, sweeps, and advances slot states. No flow may ever
// get another backend than the one it began with.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "lib/net/headers.h"
#include "lib/table/select.h"
#include "lib/table/sweeper.h"
#include "tests/unit/flow/table_memory.h"
#include "tests/unit/table/tables.h"

namespace fairlead {
namespace {

using testing::MakeBackend;
using testing::MakeService;
using testing::TableMemory;

constexpr uint32_t kWorkers = 3;
constexpr uint32_t kFlowsPerWorker = 60;
constexpr uint32_t kSteps = 240;       // of the management thread: a change, a sweep
constexpr uint32_t kIdleTicks = 40;    // T
constexpr uint32_t kTicksPerStep = 7;  // at most; less than T, so that no flow is ever idle for T
constexpr uint64_t kRecords = 8192;    // nothing is evicted

struct Shared {
  TableMemory memory{FlowTable::BytesNeeded(kRecords)};
  FlowTable flows = FlowTable::Format(memory.bytes(), kRecords);
  std::atomic<const ForwardingTables*> tables{nullptr};
  std::atomic<uint32_t> now_tick{1000};
  std::atomic<bool> stop{false};
  // Completed rounds of each worker. Between two rounds it holds no pointer into the tables.
  std::array<std::atomic<uint64_t>, kWorkers> rounds = {};
  std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> lookups{0};
  std::atomic<uint64_t> moved{0};

  // Waits until every worker has begun and completed a round.
  void AwaitRounds() const {
    for (const std::atomic<uint64_t>& worker : rounds) {
      const uint64_t seen = worker.load(std::memory_order_acquire);
      while (worker.load(std::memory_order_acquire) < seen + 2) std::this_thread::yield();
    }
  }
};

struct Flow {
  FlowHash hash;
  uint32_t backend_id = 0;  // the one it began with
};

class Worker {
 public:
  Worker(Shared* shared, uint32_t index) : shared_(*shared), index_(index), random_(300 + index) {}

  void Run() {
    while (!shared_.stop.load(std::memory_order_relaxed)) {
      const ForwardingTables& tables = *shared_.tables.load(std::memory_order_acquire);
      for (Flow& flow : flows_) {
        if (flow.backend_id == 0 || random_() % 64 == 0) {
          if (flow.backend_id != 0) Send(tables, flow, kTcpFin | kTcpAck);
          flow = {{random_(), random_()}, 0};
          flow.backend_id = Send(tables, flow, kTcpSyn);
        } else if (Send(tables, flow, kTcpAck) != flow.backend_id) {
          shared_.moved.fetch_add(1);
        }
      }
      shared_.rounds[index_].fetch_add(1, std::memory_order_release);
    }
  }

 private:
  uint32_t Send(const ForwardingTables& tables, const Flow& flow, int flags) {
    const ServiceEntry& service = tables.services()[0];
    const uint32_t word = PrefetchRecord(service, flow.hash, kIpProtoTcp, &shared_.flows);
    const Selection selection = SelectBackend(
        tables, service, word, flow.hash, {kIpProtoTcp, static_cast<uint8_t>(flags), false},
        shared_.now_tick.load(std::memory_order_relaxed), &shared_.flows);
    shared_.packets.fetch_add(1, std::memory_order_relaxed);
    if (NeedsRecord(service, kIpProtoTcp, word)) {
      shared_.lookups.fetch_add(1, std::memory_order_relaxed);
    }
    return selection.backend_index == kNoIndex ? 0 : tables.backends()[selection.backend_index].id;
  }

  Shared& shared_;
  uint32_t index_;
  std::mt19937_64 random_;
  std::array<Flow, kFlowsPerWorker> flows_;
};

class AdaptiveThreadsTest : public testing::TablesFixture {
 protected:
  AdaptiveThreadsTest() {
    input_.generation = 1;
    input_.hash_seed = 7;
    std::vector<SnapshotBackend> backends;
    for (uint32_t id = 1; id <= 6; ++id) {
      backends.push_back(MakeBackend(id, "10.0.0." + std::to_string(id)));
    }
    input_.services = {MakeService(1, "web", "203.0.113.10:80/tcp", std::move(backends))};
    input_.services[0].tracking_tcp = Tracking::kAdaptive;
    input_.services[0].idle_timeout_tcp_ms = kIdleTicks * 250;
    Exchange();
  }

  // As the dataplane's publisher does.
  void Exchange() {
    now_tick_ = shared_.now_tick.load();
    std::unique_ptr<ForwardingTables> next = Build(input_).value();
    shared_.tables.store(next.get(), std::memory_order_release);
    if (tables_ != nullptr) shared_.AwaitRounds();
    tables_ = std::move(next);
  }

  // A random change that leaves flows on their backends: drain, undrain, weight, a new backend.
  void ChangeSomething() {
    auto& backends = input_.services[0].backends;
    SnapshotBackend& backend = backends[random_() % backends.size()];
    switch (random_() % 4) {
      case 0:
        backend.state = backend.state == BackendState::kActive ? BackendState::kDraining
                                                               : BackendState::kActive;
        break;
      case 1:
        backend.weight = static_cast<uint16_t>(random_() % 4);
        break;
      case 2: {
        if (backends.size() > 12) break;
        const auto id = static_cast<uint32_t>(backends.size() + 1);
        // It can sort before others, so that indices shift.
        backends.push_back(MakeBackend(
            id, "10.0." + std::to_string(random_() % 200) + "." + std::to_string(100 + id)));
        break;
      }
      default:
        return;  // no change for a while, so that slots settle
    }
    backends[0].state = BackendState::kActive;  // one backend must be active
    backends[0].weight = 1;
    Exchange();
  }

  void Sweep() {
    shared_.AwaitRounds();
    const uint32_t tick = shared_.now_tick.load();
    sweeper_.Begin(tables_.get(), tick);
    while (!sweeper_.Step(tick)) continue;
    const SlotTable& slots = *Service().slot_table;
    saw_shifting_ |= slots.shifting_count() != 0;
    saw_pinned_ |= slots.pinned_count() != 0;
    settled_again_ |= saw_pinned_ && slots.pinned_count() < slots.size() / 8;
  }

  SnapshotInput input_;
  Shared shared_;
  Sweeper sweeper_{&shared_.flows};
  std::mt19937_64 random_{20261125};
  bool saw_shifting_ = false;
  bool saw_pinned_ = false;
  bool settled_again_ = false;
};

TEST_F(AdaptiveThreadsTest, NoFlowEverChangesItsBackend) {
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  for (uint32_t index = 0; index < kWorkers; ++index) {
    workers.push_back(std::make_unique<Worker>(&shared_, index));
    threads.emplace_back(&Worker::Run, workers.back().get());
  }
  for (uint32_t step = 0; step < kSteps; ++step) {
    // Several changes, then none for longer than T.
    if (step % 40 < 20) ChangeSomething();
    Sweep();
    shared_.now_tick.fetch_add(1 + static_cast<uint32_t>(random_() % kTicksPerStep));
  }
  shared_.stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared_.moved.load(), 0U);
  EXPECT_GT(shared_.packets.load(), uint64_t{kSteps} * kWorkers * kFlowsPerWorker);
  EXPECT_GT(shared_.lookups.load(), 1000U);
  EXPECT_LT(shared_.lookups.load(), shared_.packets.load());
  EXPECT_TRUE(saw_shifting_);
  EXPECT_TRUE(saw_pinned_);
  EXPECT_TRUE(settled_again_);
}

}  // namespace
}  // namespace fairlead
