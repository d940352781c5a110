#include "lib/flow/spread_hash.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/net/frame_builder.h"

namespace fairlead {
namespace {

using namespace testing;  // NOLINT: frame_builder.h

constexpr uint32_t kIpv4 = 0x0800;
constexpr uint32_t kIpv6 = 0x86dd;
constexpr uint64_t kSpreadSeed = 7;

uint32_t HashOf(const Bytes& frame, uint64_t seed = kSpreadSeed) {
  const auto length = static_cast<uint32_t>(frame.size());
  return SpreadHash(frame.data(), length, length, seed);
}

Bytes TcpFrom(uint32_t port, uint8_t flags = 0x10, const Bytes& payload = {}) {
  return Ethernet(kIpv4, Ipv4(Tcp({.source_port = port, .flags = flags}, payload)));
}

TEST(SpreadHash, IsTheSameForAllPacketsOfAFlow) {
  const uint32_t hash = HashOf(TcpFrom(40000));
  EXPECT_EQ(HashOf(TcpFrom(40000, 0x02)), hash);
  EXPECT_EQ(HashOf(TcpFrom(40000, 0x11, Bytes(1000))), hash);
  EXPECT_EQ(HashOf(Ethernet(kIpv4, Ipv4(Tcp(), {.tos = 8, .ttl = 3, .id = 99}))), hash);
  EXPECT_EQ(HashOf(Ethernet(kIpv4, Ipv4(Tcp()), {.tags = {0x81000014}})), hash);
  EXPECT_NE(HashOf(TcpFrom(40001)), hash);
  EXPECT_NE(HashOf(Ethernet(kIpv4, Ipv4(Udp({.destination_port = 80}), {.protocol = 17}))), hash);
  EXPECT_NE(HashOf(TcpFrom(40000), kSpreadSeed + 1), hash);
}

// A first fragment with ports, later ones, and a last one too short for a header.
TEST(SpreadHash, IsTheSameForAllFragmentsBetweenTwoHosts) {
  std::set<uint32_t> hashes;
  for (const uint32_t flags_offset : {0x2000U, 0x2003U, 0x0006U}) {
    for (const uint32_t id : {1U, 2U}) {
      const Ipv4Fields fields = {.protocol = 17, .id = id, .flags_fragment = flags_offset};
      hashes.insert(HashOf(Ethernet(kIpv4, Ipv4(Udp({}, Bytes(16)), fields))));
      hashes.insert(HashOf(Ethernet(kIpv4, Ipv4(Bytes(4, 0xab), fields))));
    }
  }
  EXPECT_EQ(hashes.size(), 1U);
  const Bytes other =
      Ipv4(Udp(), {.protocol = 17, .source = "198.51.100.8", .flags_fragment = 0x2000});
  EXPECT_NE(HashOf(Ethernet(kIpv4, other)), *hashes.begin());
}

// A later IPv6 fragment may name another protocol than the first one.
TEST(SpreadHash, IsTheSameForAllIpv6Fragments) {
  const auto fragment = [](uint8_t next_header, uint32_t offset, const Bytes& payload) {
    return Ethernet(kIpv6,
                    Ipv6(FragmentHeader(next_header, offset, true) + payload, {.next_header = 44}));
  };
  const uint32_t hash = HashOf(fragment(17, 0, Udp({}, Bytes(8))));
  EXPECT_EQ(HashOf(fragment(17, 16, Bytes(16))), hash);
  EXPECT_EQ(HashOf(fragment(60, 16, Bytes(16))), hash);
}

TEST(SpreadHash, UsesTheAddressesOfOtherPackets) {
  const auto ping = [](std::string_view source, uint32_t rest) {
    return HashOf(Ethernet(kIpv4, Ipv4(Icmp4(8, 0, rest), {.protocol = 1, .source = source})));
  };
  EXPECT_EQ(ping(kClient4, 1), ping(kClient4, 2));
  EXPECT_NE(ping(kClient4, 1), ping("198.51.100.8", 1));
  // With a defect (the header is longer than the packet), ports are not read.
  const Ipv4Fields cut = {.total_length = 10};
  EXPECT_EQ(HashOf(Ethernet(kIpv4, Ipv4(Tcp(), cut))),
            HashOf(Ethernet(kIpv4, Ipv4(Tcp({.source_port = 1}), cut))));
}

TEST(SpreadHash, IsZeroForFramesWithoutAFlow) {
  EXPECT_EQ(HashOf(Ethernet(0x0806, Bytes(28))), 0U);  // ARP
  EXPECT_EQ(HashOf(Ethernet(0x88cc, Bytes(50))), 0U);  // LLDP
  EXPECT_EQ(HashOf(Bytes(9)), 0U);
  EXPECT_EQ(HashOf({}), 0U);
}

// Reads no byte behind the contiguous ones. The sanitizer builds would notice.
TEST(SpreadHash, ReadsOnlyContiguousBytes) {
  const Bytes frame = TcpFrom(40000);
  for (size_t linear = 0; linear <= frame.size(); ++linear) {
    const Bytes part(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(linear));
    SpreadHash(part.data(), static_cast<uint32_t>(linear), static_cast<uint32_t>(frame.size()),
               kSpreadSeed);
  }
}

TEST(SpreadHash, SpreadsFlowsEvenly) {
  constexpr uint32_t kFlows = 20000;
  for (const uint32_t workers : {2U, 3U, 16U}) {
    std::map<uint32_t, uint32_t> counts;
    for (uint32_t flow = 0; flow < kFlows; ++flow) {
      ++counts[ShareOf(HashOf(TcpFrom(20000 + flow)), workers)];
    }
    ASSERT_EQ(counts.size(), workers);
    for (const auto& [share, count] : counts) {
      ASSERT_LT(share, workers);
      EXPECT_NEAR(count, kFlows / workers, kFlows / workers / 5) << workers << " workers";
    }
  }
}

}  // namespace
}  // namespace fairlead
