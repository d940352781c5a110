#include "lib/net/flow_key.h"

#include <gtest/gtest.h>

#include "tests/unit/net/frame_builder.h"

namespace fairlead {
namespace {

using testing::Address;

TEST(FlowKey, LaysIpv4OutInTwoWordsAsLoadedFromThePacket) {
  const FlowKey key = FlowKey::Make(Address("1.2.3.4"), 0x1122, Address("5.6.7.8"), 0x3344, 6);
  EXPECT_EQ(key.size_bytes, 16U);
  EXPECT_EQ(key.words[0], 0x0807060504030201U);
  EXPECT_EQ(key.words[1], 0x0000000644332211U);
  EXPECT_EQ(key.words[2] | key.words[3] | key.words[4], 0U);
}

TEST(FlowKey, LaysIpv6OutInFiveWords) {
  const FlowKey key =
      FlowKey::Make(Address("102:304:506:708:90a:b0c:d0e:f10"), 1, Address("::2"), 0xff00, 17);
  EXPECT_EQ(key.size_bytes, 40U);
  EXPECT_EQ(key.words[0], 0x0807060504030201U);
  EXPECT_EQ(key.words[1], 0x100f0e0d0c0b0a09U);
  EXPECT_EQ(key.words[2], 0U);
  EXPECT_EQ(key.words[3], 0x0200000000000000U);
  EXPECT_EQ(key.words[4], 0x0000001100ff0100U);
}

TEST(FlowKey, ReturnsTheFieldsItWasMadeOf) {
  for (const auto& [source, destination] :
       {std::pair("198.51.100.7", "203.0.113.10"), std::pair("2001:db8:1::7", "2001:db8::10")}) {
    const FlowKey key = FlowKey::Make(Address(source), 40000, Address(destination), 80, 17);
    EXPECT_EQ(key.source(), Address(source));
    EXPECT_EQ(key.destination(), Address(destination));
    EXPECT_EQ(key.source_port(), 40000);
    EXPECT_EQ(key.destination_port(), 80);
    EXPECT_EQ(key.protocol(), 17);
  }
}

TEST(FlowKey, PrintsFlowsInTheUsualNotation) {
  EXPECT_EQ(
      FlowKey::Make(Address("198.51.100.7"), 40000, Address("203.0.113.10"), 80, 6).ToString(),
      "tcp 198.51.100.7:40000 -> 203.0.113.10:80");
  EXPECT_EQ(FlowKey::Make(Address("2001:db8::7"), 1, Address("2001:db8::1"), 53, 17).ToString(),
            "udp [2001:db8::7]:1 -> [2001:db8::1]:53");
  EXPECT_EQ(FlowKey::Make(Address("10.0.0.1"), 0, Address("10.0.0.2"), 0, 1).ToString(),
            "icmp 10.0.0.1:0 -> 10.0.0.2:0");
  EXPECT_EQ(FlowKey::Make(Address("::a"), 0, Address("::b"), 0, 58).ToString(),
            "icmpv6 [::a]:0 -> [::b]:0");
  EXPECT_EQ(FlowKey::Make(Address("10.0.0.1"), 0, Address("10.0.0.2"), 0, 47).ToString(),
            "protocol 47 10.0.0.1:0 -> 10.0.0.2:0");
}

TEST(FlowKey, DiffersIfAnyFieldOfTheFlowDiffers) {
  const FlowKey key = FlowKey::Make(Address("10.0.0.1"), 1, Address("10.0.0.2"), 2, 6);
  EXPECT_EQ(key, FlowKey::Make(Address("10.0.0.1"), 1, Address("10.0.0.2"), 2, 6));
  EXPECT_FALSE(key == FlowKey::Make(Address("10.0.0.3"), 1, Address("10.0.0.2"), 2, 6));
  EXPECT_FALSE(key == FlowKey::Make(Address("10.0.0.1"), 3, Address("10.0.0.2"), 2, 6));
  EXPECT_FALSE(key == FlowKey::Make(Address("10.0.0.1"), 1, Address("10.0.0.3"), 2, 6));
  EXPECT_FALSE(key == FlowKey::Make(Address("10.0.0.1"), 1, Address("10.0.0.2"), 3, 6));
  EXPECT_FALSE(key == FlowKey::Make(Address("10.0.0.1"), 1, Address("10.0.0.2"), 2, 17));
  EXPECT_FALSE(key == FlowKey::Make(Address("::1"), 1, Address("::2"), 2, 6));
}

TEST(FlowKey, ComparesOnlyTheBytesOfItsSize) {
  FlowKey reused = FlowKey::Make(Address("10.0.0.1"), 1, Address("10.0.0.2"), 2, 6);
  const FlowKey fresh = reused;
  reused.words[4] = 99;  // left by an IPv6 packet that the same key held before
  EXPECT_EQ(reused, fresh);
}

TEST(FlowKey, AbortsOnMixedFamilies) {
  EXPECT_DEATH(static_cast<void>(FlowKey::Make(Address("10.0.0.1"), 1, Address("::1"), 2, 6)),
               "CHECK failed");
}

}  // namespace
}  // namespace fairlead
