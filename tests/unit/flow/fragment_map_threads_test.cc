// Workers on one fragment map, for ThreadSanitizer and for what only races can break: one datagram,
// one word, and never another datagram's.
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
constexpr uint64_t kWordsPerDatagram = 1000;  // a word betrays its datagram

uint64_t WordOf(uint64_t datagram, uint64_t choice) {
  return datagram * kWordsPerDatagram + choice + 1;
}
uint64_t DatagramOf(uint64_t word) { return (word - 1) / kWordsPerDatagram; }
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

TEST(FragmentMapThreads, NobodySeesAnotherDatagramsWordWhileEntriesAreReplaced) {
  FragmentMap map(10, 1, 4);  // a few buckets, all of which overflow, and short lives
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> found{0};
  RunWorkers([&](uint32_t worker) {
    std::mt19937_64 random(worker);
    uint64_t hits = 0;
    for (uint32_t i = 0; i < 200'000; ++i) {
      const uint64_t datagram = 1 + random() % 40;
      const uint32_t tick = i / 1000;
      const bool first = random() % 4 == 0;
      const uint64_t word = first ? map.Remember(Identity(datagram), WordOf(datagram, worker), tick)
                                  : map.Find(Identity(datagram), tick);
      if (word != 0 && DatagramOf(word) != datagram) ++wrong;
      if (!first && word != 0) ++hits;
    }
    found += hits;
  });
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(found, 1000U);
}

TEST(FragmentMapThreads, AllWorkersAreToldTheSameWord) {
  constexpr uint32_t kDatagrams = 20'000;
  FragmentMap map(kDatagrams * 16, 1);
  std::vector<uint64_t> told[kWorkers];
  std::atomic<uint64_t> recorded_count{0};
  RunWorkers([&](uint32_t worker) {
    told[worker].resize(kDatagrams);
    for (uint64_t n = 0; n < kDatagrams; ++n) {
      bool recorded = false;
      told[worker][n] = map.Remember(Identity(n), WordOf(n, worker), 0, &recorded);
      if (!recorded) told[worker][n] = 0;  // a writer that slept on its lock
      recorded_count += recorded ? 1 : 0;
    }
  });
  EXPECT_GT(recorded_count, kDatagrams);
  for (uint64_t n = 0; n < kDatagrams; ++n) {
    const uint64_t word = map.Find(Identity(n), 0);
    for (const auto& words : told) {
      ASSERT_TRUE(words[n] == 0 || words[n] == word) << n;
      ASSERT_TRUE(words[n] == 0 || DatagramOf(word) == n) << n;
    }
  }
}

}  // namespace
}  // namespace fairlead
