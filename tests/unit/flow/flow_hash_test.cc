#include "lib/flow/flow_hash.h"

#include <cmath>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/flow/flow_hash_burst.h"
#include "lib/net/address.h"

namespace fairlead {
namespace {

constexpr uint64_t kSeed = 0x0123456789abcdef;

FlowKey MakeKey(const char* source, uint16_t source_port, const char* destination,
                uint16_t destination_port, uint8_t protocol) {
  return FlowKey::Make(IpAddress::Parse(source).value(), source_port,
                       IpAddress::Parse(destination).value(), destination_port, protocol);
}

FlowKey V4Key() { return MakeKey("198.51.100.7", 40000, "203.0.113.10", 80, 6); }
FlowKey V6Key() { return MakeKey("2001:db8::7", 40000, "2001:db8::10", 443, 17); }

// Expected values: Debian's python3-xxhash, xxh3_128_intdigest over the key's bytes.
TEST(HashFlow, IsXxh3Of16BytesForIpv4) {
  EXPECT_EQ(HashFlow(V4Key(), 0), (FlowHash{0x1aeb6512487a5fab, 0xf0e88aa558add094}));
  EXPECT_EQ(HashFlow(V4Key(), kSeed), (FlowHash{0xc13eca5be886bc12, 0x49a2592415ef9280}));
}

TEST(HashFlow, IsXxh3Of40BytesForIpv6) {
  EXPECT_EQ(HashFlow(V6Key(), 0), (FlowHash{0x4b0f2e4924ba9e37, 0x5243c1b70d46bba2}));
  EXPECT_EQ(HashFlow(V6Key(), kSeed), (FlowHash{0x0e9e11e77a58824c, 0x86cc0bf0b95d0834}));
}

// Tests every count, so that a mix-up of SIMD lanes shows. Key words are random or edge values.
void ExpectEqualsHashFlow(HashIpv4Keys hash_keys) {
  std::mt19937_64 random(3);
  const uint64_t edges[] = {0, 1, ~uint64_t{0}, uint64_t{1} << 63, 0xffffffff, ~uint64_t{0} << 32};
  for (uint32_t round = 0; round < 300; ++round) {
    const uint64_t seed = round % 3 == 0 ? edges[round % 6] : random();
    const uint32_t count = 1 + round % 40;
    Ipv4KeyWords keys[40];
    FlowHash hashes[40];
    for (Ipv4KeyWords& key : keys) {
      for (uint64_t& word : key.words) word = random() % 4 == 0 ? edges[random() % 6] : random();
    }
    hash_keys(keys, count, seed, hashes);
    for (uint32_t i = 0; i < count; ++i) {
      FlowKey key;
      key.words[0] = keys[i].words[0];
      key.words[1] = keys[i].words[1];
      ASSERT_EQ(hashes[i], HashFlow(key, seed)) << "key " << i << " of " << count;
    }
  }
}

TEST(HashIpv4Keys, PlainEqualsHashFlow) { ExpectEqualsHashFlow(HashIpv4KeysPlain); }

TEST(HashIpv4Keys, Avx512EqualsHashFlow) {
  if (!HasAvx512()) GTEST_SKIP() << "this CPU has no AVX-512 (F, DQ, BW)";
  ExpectEqualsHashFlow(HashIpv4KeysAvx512);
}

TEST(HashIpv4Keys, FastestIsAvx512IfTheCpuHasIt) {
  EXPECT_EQ(FastestHashIpv4Keys(), HasAvx512() ? HashIpv4KeysAvx512 : HashIpv4KeysPlain);
}

TEST(HashFlow, IgnoresTheBytesBehindAnIpv4Key) {
  FlowKey key = V4Key();
  key.words[3] = 0xdead;
  EXPECT_EQ(HashFlow(key, kSeed), HashFlow(V4Key(), kSeed));
}

TEST(HashFlow, TakesTheSlotFromTheReducedKeyAndTheRestFromTheWholeKey) {
  for (const FlowKey& key : {V4Key(), V6Key()}) {
    for (const HashPolicy policy :
         {HashPolicy::kFiveTuple, HashPolicy::kThreeTuple, HashPolicy::kSourceIp}) {
      const FlowHash hash = HashFlow(key, policy, kSeed);
      EXPECT_EQ(hash.low >> 32, HashFlow(ReduceKey(key, policy), kSeed).low >> 32);
      EXPECT_EQ(hash.low & 0xffffffff, HashFlow(key, kSeed).low & 0xffffffff);
      EXPECT_EQ(hash.high, HashFlow(key, kSeed).high);
    }
  }
}

TEST(HashFlow, DistinguishesConnectionsOfOneClientUnderEveryPolicy) {
  for (const HashPolicy policy : {HashPolicy::kThreeTuple, HashPolicy::kSourceIp}) {
    const FlowHash a = HashFlow(MakeKey("198.51.100.7", 1, "203.0.113.10", 80, 6), policy, kSeed);
    const FlowHash b = HashFlow(MakeKey("198.51.100.7", 2, "203.0.113.10", 80, 6), policy, kSeed);
    EXPECT_EQ(SlotIndex(a, 65537), SlotIndex(b, 65537));
    EXPECT_NE(a.low, b.low);
    EXPECT_NE(a.high, b.high);
  }
}

TEST(ReduceKey, KeepsTheWholeKeyFor5Tuple) {
  EXPECT_EQ(ReduceKey(V4Key(), HashPolicy::kFiveTuple), V4Key());
  EXPECT_EQ(ReduceKey(V6Key(), HashPolicy::kFiveTuple), V6Key());
}

TEST(ReduceKey, KeepsAddressesAndProtocolFor3Tuple) {
  EXPECT_EQ(ReduceKey(V4Key(), HashPolicy::kThreeTuple),
            MakeKey("198.51.100.7", 0, "203.0.113.10", 0, 6));
  EXPECT_EQ(ReduceKey(V6Key(), HashPolicy::kThreeTuple),
            MakeKey("2001:db8::7", 0, "2001:db8::10", 0, 17));
}

TEST(ReduceKey, KeepsOnlyTheClientAddressForSourceIp) {
  EXPECT_EQ(ReduceKey(V4Key(), HashPolicy::kSourceIp), MakeKey("198.51.100.7", 0, "0.0.0.0", 0, 0));
  EXPECT_EQ(ReduceKey(V6Key(), HashPolicy::kSourceIp), MakeKey("2001:db8::7", 0, "::", 0, 0));
}

TEST(SlotIndex, StaysBelowTheSlotCountForTheSmallestAndLargestHash) {
  for (const uint32_t slots : {2U, 251U, 65537U, 16777213U}) {
    EXPECT_EQ(SlotIndex({0, 0}, slots), 0U);
    EXPECT_EQ(SlotIndex({UINT64_MAX, 0}, slots), slots - 1);
  }
}

// The keys resemble real ones: hosts of one subnet and consecutive ports. Chi-squared over 251
// slots must lie within six standard deviations of its mean.
TEST(SlotIndex, SpreadsConsecutiveFlowsEvenly) {
  constexpr uint32_t kSlots = 251;
  constexpr uint32_t kFlows = 251 * 400;
  std::vector<uint32_t> count(kSlots, 0);
  for (uint32_t i = 0; i < kFlows; ++i) {
    FlowKey key = V4Key();
    key.words[0] += uint64_t{i % 16} << 24;  // source host
    key.words[1] += i / 16;                  // source port
    ++count[SlotIndex(HashFlow(key, kSeed), kSlots)];
  }
  double chi_squared = 0;
  for (const uint32_t n : count) chi_squared += (n - 400.0) * (n - 400.0) / 400.0;
  EXPECT_LT(std::abs(chi_squared - 250.0), 6 * std::sqrt(2 * 250.0)) << chi_squared;
}

TEST(SaltOfService, DiffersBetweenServices) {
  std::set<std::pair<uint64_t, uint64_t>> salts;
  for (uint32_t id = 0; id < 10000; ++id) {
    const FlowHash salt = SaltOfService(id);
    salts.emplace(salt.low, salt.high);
  }
  EXPECT_EQ(salts.size(), 10000U);
}

}  // namespace
}  // namespace fairlead
