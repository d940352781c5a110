// Several workers use one fragment map, under ThreadSanitizer. Checks what only races can break:
// all workers get the same routing decision for a datagram, and never another datagram's.
#include <atomic>
#include <barrier>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "lib/flow/fragment_map.h"

namespace fairlead {
namespace {

constexpr uint32_t kWorkers = 3;
constexpr uint64_t kDecisionsPerDatagram = 1000;  // a decision tells its datagram

uint64_t DecisionOf(uint64_t datagram, uint64_t choice) {
  return datagram * kDecisionsPerDatagram + choice + 1;
}
uint64_t DatagramOf(uint64_t decision) { return (decision - 1) / kDecisionsPerDatagram; }
FlowHash Identity(uint64_t datagram) {
  return {datagram * 0x9e3779b97f4a7c15U, datagram * 0xbf58476d1ce4e5b9U >> 32};
}

template <typename Work>
void RunWorkers(Work&& work) {
  std::barrier<> start(kWorkers);
  std::vector<std::thread> workers;
  for (uint32_t i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&, i] {
      start.arrive_and_wait();
      work(i);
    });
  }
  for (std::thread& worker : workers) worker.join();
}

TEST(FragmentMapThreads, NoWorkerReadsAnotherDatagramsDecisionWhileEntriesAreReplaced) {
  FragmentMap map(10, 1, 4);  // few buckets, so that all overflow; short lifetimes
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> found{0};
  RunWorkers([&](uint32_t worker) {
    std::mt19937_64 random(worker);
    uint64_t hits = 0;
    for (uint32_t i = 0; i < 200'000; ++i) {
      const uint64_t datagram = 1 + random() % 40;
      const uint32_t tick = i / 1000;
      const bool first = random() % 4 == 0;
      const uint64_t decision =
          first ? map.Remember(Identity(datagram), DecisionOf(datagram, worker), tick)
                : map.Find(Identity(datagram), tick);
      if (decision != 0 && DatagramOf(decision) != datagram) ++wrong;
      if (!first && decision != 0) ++hits;
    }
    found += hits;
  });
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(found, 1000U);
}

TEST(FragmentMapThreads, AllWorkersGetTheSameDecision) {
  constexpr uint32_t kDatagrams = 20'000;
  FragmentMap map(kDatagrams * 16, 1);
  std::vector<uint64_t> returned[kWorkers];
  std::atomic<uint64_t> recorded_count{0};
  RunWorkers([&](uint32_t worker) {
    returned[worker].resize(kDatagrams);
    for (uint64_t n = 0; n < kDatagrams; ++n) {
      bool recorded = false;
      returned[worker][n] = map.Remember(Identity(n), DecisionOf(n, worker), 0, &recorded);
      if (!recorded) returned[worker][n] = 0;  // another writer held the bucket's lock
      recorded_count += recorded ? 1 : 0;
    }
  });
  EXPECT_GT(recorded_count, kDatagrams);
  for (uint64_t n = 0; n < kDatagrams; ++n) {
    const uint64_t decision = map.Find(Identity(n), 0);
    for (const auto& decisions : returned) {
      ASSERT_TRUE(decisions[n] == 0 || decisions[n] == decision) << n;
      ASSERT_TRUE(decisions[n] == 0 || DatagramOf(decision) == n) << n;
    }
  }
}

}  // namespace
}  // namespace fairlead
