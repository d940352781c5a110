#include "lib/flow/fragment_store.h"

#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "lib/flow/fragment_map.h"

namespace fairlead {
namespace {

using Outcome = FragmentStore::Outcome;

constexpr uint64_t kSeed = 42;

FlowHash Datagram(uint64_t n) { return {n * 0x9e3779b97f4a7c15U + 1, n}; }

// `high` selects the bucket, so all of these share one bucket in every table.
FlowHash SameBucket(uint64_t n) { return {n + 100, 0}; }

std::vector<FragmentStore::Released> TakeAll(FragmentStore* store) {
  std::vector<FragmentStore::Released> all;
  FragmentStore::Released released;
  while (store->Next(&released)) all.push_back(released);
  return all;
}

Outcome Hold(FragmentStore* store, const FlowHash& datagram, uint64_t handle, uint32_t tick = 0) {
  uint64_t where = 0;
  return store->AddLater(datagram, handle, tick, &where);
}

TEST(FragmentMap, RemembersADecisionForItsLifetimeOnly) {
  FragmentMap map(100, kSeed, 60);
  EXPECT_EQ(map.Find(Datagram(1), 10), 0U);
  EXPECT_EQ(map.Remember(Datagram(1), 7, 10), 7U);
  EXPECT_EQ(map.Find(Datagram(1), 10), 7U);
  EXPECT_EQ(map.Find(Datagram(1), 69), 7U);
  EXPECT_EQ(map.Find(Datagram(1), 70), 0U);
  EXPECT_EQ(map.Find(Datagram(2), 10), 0U);
}

TEST(FragmentMap, ASecondFirstFragmentChangesNothing) {
  FragmentMap map(100, kSeed, 60);
  map.Remember(Datagram(1), 7, 10);
  EXPECT_EQ(map.Remember(Datagram(1), 3, 50), 7U);
  EXPECT_EQ(map.Find(Datagram(1), 69), 7U);
  EXPECT_EQ(map.Find(Datagram(1), 70), 0U);  // the lifetime is not prolonged
  EXPECT_EQ(map.Remember(Datagram(1), 3, 70), 3U);
  EXPECT_EQ(map.Find(Datagram(1), 70), 3U);
}

TEST(FragmentMap, CountsTheLifetimeAcrossTheWrapOfTheTicks) {
  FragmentMap map(100, kSeed, 60);
  map.Remember(Datagram(1), 7, kTickMask);
  EXPECT_EQ(map.Find(Datagram(1), 58), 7U);
  EXPECT_EQ(map.Find(Datagram(1), 59), 0U);
}

TEST(FragmentMap, FindsADecisionOfAWorkerWhoseClockIsATickAhead) {
  FragmentMap map(100, kSeed, 60);
  map.Remember(Datagram(1), 7, 10);
  EXPECT_EQ(map.Find(Datagram(1), 9), 7U);
}

TEST(FragmentMap, AFullBucketReplacesExpiredEntriesThenTheOldest) {
  FragmentMap map(1000, kSeed, 60);
  for (uint32_t i = 0; i < 5; ++i) map.Remember(SameBucket(i), 100 + i, 10 + i);
  for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(map.Find(SameBucket(i), 20), 100 + i);
  map.Remember(SameBucket(5), 105, 20);
  EXPECT_EQ(map.Find(SameBucket(0), 20), 0U);
  for (uint32_t i = 1; i < 6; ++i) EXPECT_EQ(map.Find(SameBucket(i), 20), 100 + i);
  map.Remember(SameBucket(6), 106, 72);  // 1 and 2 have expired
  map.Remember(SameBucket(7), 107, 72);
  for (uint32_t i = 3; i < 8; ++i) EXPECT_EQ(map.Find(SameBucket(i), 72), 100 + i);
}

TEST(FragmentMap, StoresADatagramWhoseHashIsZero) {
  FragmentMap map(100, kSeed, 60);
  EXPECT_EQ(map.Find({0, 0}, 0), 0U);
  map.Remember({0, 0}, 9, 0);
  EXPECT_EQ(map.Find({0, 0}, 0), 9U);
}

TEST(FragmentMap, AnotherSeedGivesOtherIdentities) {
  const FlowKey key;
  EXPECT_FALSE(FragmentMap(10, 1).Identify(key) == FragmentMap(10, 2).Identify(key));
}

TEST(FragmentStore, LaterFragmentsFollowTheFirst) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {});
  EXPECT_EQ(store.RecordFirst(Datagram(1), 7, 0), 7U);
  uint64_t where = 0;
  EXPECT_EQ(store.AddLater(Datagram(1), 1, 0, &where), Outcome::kForward);
  EXPECT_EQ(where, 7U);
  EXPECT_EQ(store.waiting(), 0U);
  EXPECT_TRUE(TakeAll(&store).empty());
}

TEST(FragmentStore, EarlyFragmentsLeaveInOrderWhenTheFirstComes) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {});
  for (uint64_t handle = 1; handle <= 5; ++handle) {
    EXPECT_EQ(Hold(&store, Datagram(1), handle), Outcome::kHeld);
  }
  EXPECT_EQ(Hold(&store, Datagram(2), 99), Outcome::kHeld);
  store.Advance(0);
  EXPECT_TRUE(TakeAll(&store).empty());
  EXPECT_EQ(store.RecordFirst(Datagram(1), 7, 0), 7U);
  const auto released = TakeAll(&store);
  ASSERT_EQ(released.size(), 5U);
  for (uint64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(released[i].handle, i + 1);
    EXPECT_EQ(released[i].decision, 7U);
    EXPECT_EQ(released[i].reason, DropReason::kNone);
  }
  EXPECT_EQ(store.waiting(), 1U);
  EXPECT_EQ(store.waiting_datagrams(), 1U);
}

TEST(FragmentStore, ASecondFirstFragmentGetsTheEarlierDecision) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {});
  EXPECT_EQ(store.RecordFirst(Datagram(1), 7, 0), 7U);
  EXPECT_EQ(store.RecordFirst(Datagram(1), 3, 1), 7U);
}

TEST(FragmentStore, EarlyFragmentsTimeOut) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {.wait_ticks = 8});
  Hold(&store, Datagram(1), 1, 10);
  Hold(&store, Datagram(1), 2, 17);  // does not prolong the wait
  Hold(&store, Datagram(2), 3, 17);
  store.Advance(17);
  EXPECT_TRUE(TakeAll(&store).empty());
  store.Advance(18);
  const auto released = TakeAll(&store);
  ASSERT_EQ(released.size(), 2U);
  for (const auto& fragment : released) {
    EXPECT_EQ(fragment.decision, 0U);
    EXPECT_EQ(fragment.reason, DropReason::k_fragment_timeout);
  }
  EXPECT_EQ(store.waiting(), 1U);
}

TEST(FragmentStore, AFirstFragmentAtAnotherWorkerReleasesTheFragmentsThatWaitHere) {
  FragmentMap map(100, kSeed);
  FragmentStore here(&map, {});
  FragmentStore there(&map, {});
  for (uint64_t n = 1; n <= 9; ++n) Hold(&here, Datagram(n), n);
  there.RecordFirst(Datagram(9), 7, 0);
  std::vector<FragmentStore::Released> released;
  for (int i = 0; i < 3; ++i) {  // each call looks up 4 datagrams
    EXPECT_TRUE(released.empty());
    here.Advance(0);
    released = TakeAll(&here);
  }
  ASSERT_EQ(released.size(), 1U);
  EXPECT_EQ(released[0].handle, 9U);
  EXPECT_EQ(released[0].decision, 7U);
}

TEST(FragmentStore, ALaterFragmentReleasesWaitingOnesIfTheFirstCameToAnotherWorker) {
  FragmentMap map(100, kSeed);
  FragmentStore here(&map, {});
  FragmentStore there(&map, {});
  Hold(&here, Datagram(1), 1);
  there.RecordFirst(Datagram(1), 7, 0);
  EXPECT_EQ(Hold(&here, Datagram(1), 2), Outcome::kForward);
  const auto released = TakeAll(&here);
  ASSERT_EQ(released.size(), 1U);
  EXPECT_EQ(released[0].decision, 7U);
}

TEST(FragmentStore, RefusesFragmentsBeyondTheLimitOfADatagram) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {.max_per_datagram = 3});
  for (uint64_t handle = 1; handle <= 3; ++handle) {
    EXPECT_EQ(Hold(&store, Datagram(1), handle), Outcome::kHeld);
  }
  EXPECT_EQ(Hold(&store, Datagram(1), 4), Outcome::kRefused);
  store.RecordFirst(Datagram(1), 7, 0);
  EXPECT_EQ(TakeAll(&store).size(), 3U);
}

TEST(FragmentStore, AFullBucketEvictsItsOldestDatagram) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {});
  for (uint64_t n = 0; n < 4; ++n) {
    Hold(&store, SameBucket(n), 10 * n);
    Hold(&store, SameBucket(n), 10 * n + 1);
  }
  EXPECT_EQ(Hold(&store, SameBucket(4), 40), Outcome::kHeld);
  const auto released = TakeAll(&store);
  ASSERT_EQ(released.size(), 2U);
  EXPECT_EQ(released[0].handle, 0U);
  EXPECT_EQ(released[1].handle, 1U);
  EXPECT_EQ(released[1].reason, DropReason::k_fragment_evicted);
  EXPECT_EQ(store.waiting(), 7U);
  EXPECT_EQ(store.waiting_datagrams(), 4U);
}

TEST(FragmentStore, AFullStoreEvictsTheOldestDatagram) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {.max_waiting = 4});
  Hold(&store, Datagram(1), 1);
  Hold(&store, Datagram(1), 2);
  Hold(&store, Datagram(2), 3);
  Hold(&store, Datagram(3), 4);
  EXPECT_EQ(Hold(&store, Datagram(4), 5), Outcome::kHeld);
  EXPECT_EQ(TakeAll(&store).size(), 2U);
  EXPECT_EQ(store.waiting(), 3U);
  EXPECT_EQ(Hold(&store, Datagram(2), 6), Outcome::kHeld);
  EXPECT_EQ(Hold(&store, Datagram(2), 7), Outcome::kHeld);  // its own datagram is the oldest
  const auto released = TakeAll(&store);
  ASSERT_EQ(released.size(), 2U);
  EXPECT_EQ(released[0].handle, 3U);
  EXPECT_EQ(released[1].handle, 6U);
  EXPECT_EQ(store.waiting(), 3U);
}

TEST(FragmentStore, RefusesNewFragmentsWhileEvictedOnesAreNotFetched) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {.max_waiting = 4});
  uint64_t held = 0;
  while (Hold(&store, Datagram(held), held) == Outcome::kHeld) ++held;
  EXPECT_EQ(held, 4U + FragmentStoreSettings().max_per_round);
  EXPECT_EQ(TakeAll(&store).size(), held - store.waiting());
  EXPECT_EQ(Hold(&store, Datagram(1000), 1000), Outcome::kHeld);
}

TEST(FragmentStore, TimesOutAllFragmentsAtExit) {
  FragmentMap map(100, kSeed);
  FragmentStore store(&map, {});
  for (uint64_t n = 0; n < 50; ++n) Hold(&store, Datagram(n % 7), n);
  store.ReleaseAll();
  const auto released = TakeAll(&store);
  EXPECT_EQ(released.size(), 50U);
  for (const auto& fragment : released) {
    EXPECT_EQ(fragment.reason, DropReason::k_fragment_timeout);
  }
  EXPECT_EQ(store.waiting(), 0U);
  EXPECT_EQ(store.waiting_datagrams(), 0U);
}

// A worker passes a whole batch to the store before it fetches evicted fragments.
TEST(FragmentStore, HoldsABatchOfNewFragmentsWhenItIsFull) {
  constexpr uint32_t kFull = 300;
  FragmentMap map(1000, kSeed);
  const FragmentStoreSettings settings{.max_datagrams = 1024, .max_waiting = kFull};
  FragmentStore store(&map, settings);
  for (uint32_t n = 0; n < kFull; ++n) ASSERT_EQ(Hold(&store, Datagram(n), n), Outcome::kHeld);
  ASSERT_TRUE(TakeAll(&store).empty());
  uint32_t n = kFull;
  for (uint32_t round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i < settings.max_per_round; ++i, ++n) {
      ASSERT_EQ(Hold(&store, Datagram(n), n), Outcome::kHeld) << i;
    }
    EXPECT_EQ(Hold(&store, Datagram(n), n), Outcome::kRefused);
    EXPECT_EQ(store.waiting(), kFull);
    EXPECT_EQ(TakeAll(&store).size(), settings.max_per_round);
  }
}

// Two workers get fragments in random order. The model knows which worker holds which fragments,
// and the decisions of the first fragments.
struct Model {
  static constexpr uint32_t kLifetime = 40;
  struct Mapping {
    uint64_t where;
    uint32_t tick;
  };
  std::map<uint64_t, Mapping> mappings;
  std::map<uint64_t, uint64_t> held[2];  // handle -> datagram
  uint64_t Find(uint64_t datagram, uint32_t now) const {
    const auto found = mappings.find(datagram);
    if (found == mappings.end() || now - found->second.tick >= kLifetime) return 0;
    return found->second.where;
  }
};

TEST(FragmentStore, AgreesWithAModelOverRandomArrivals) {
  const uint32_t seed = 3;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  FragmentMap map(1U << 16, kSeed, Model::kLifetime);  // so large that no bucket overflows
  FragmentStore stores[2] = {{&map, {.max_waiting = 300, .wait_ticks = 8}},
                             {&map, {.max_waiting = 300, .wait_ticks = 8}}};
  Model model;
  uint64_t next_handle = 1;
  uint64_t forwarded = 0;
  uint64_t dropped = 0;
  uint32_t now = 0;
  for (int step = 0; step < 200000; ++step) {
    if (random() % 64 == 0) ++now;
    const uint32_t worker = random() % 2;
    FragmentStore& store = stores[worker];
    const uint64_t n = now * 4 + random() % 40;
    const uint64_t known = model.Find(n, now);
    if (random() % 8 == 0) {
      const uint64_t where = random() % 1000 + 1;
      if (known == 0) model.mappings[n] = {where, now};
      ASSERT_EQ(store.RecordFirst(Datagram(n), where, now), known != 0 ? known : where);
    } else {
      uint64_t where = 0;
      const Outcome outcome = store.AddLater(Datagram(n), next_handle, now, &where);
      ASSERT_EQ(outcome == Outcome::kForward, known != 0);
      ASSERT_EQ(where, known);
      if (outcome == Outcome::kHeld) model.held[worker][next_handle] = n;
      ++next_handle;
    }
    store.Advance(now);
    for (const auto& released : TakeAll(&store)) {
      const auto holder = model.held[worker].find(released.handle);
      ASSERT_NE(holder, model.held[worker].end());
      if (released.decision != 0) {
        ASSERT_EQ(released.decision, model.Find(holder->second, now));
        ++forwarded;
      } else {
        ASSERT_NE(released.reason, DropReason::kNone);
        ++dropped;
      }
      model.held[worker].erase(holder);
    }
    ASSERT_EQ(store.waiting(), model.held[worker].size());
  }
  EXPECT_GT(forwarded, 10000U);
  EXPECT_GT(dropped, 1000U);
  for (uint32_t worker = 0; worker < 2; ++worker) {
    stores[worker].ReleaseAll();
    for (const auto& released : TakeAll(&stores[worker])) {
      ASSERT_EQ(model.held[worker].erase(released.handle), 1U);
    }
    EXPECT_TRUE(model.held[worker].empty());
  }
}

}  // namespace
}  // namespace fairlead
