#include "lib/net/fragment.h"

#include <cstdint>

#include <gtest/gtest.h>

#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

FlowKey KeyOf(const Bytes& frame) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  EXPECT_EQ(packet.defect, DropReason::kNone);
  EXPECT_TRUE(packet.is_fragment);
  return FragmentKey(frame.data(), packet, key);
}

const slow::Ip4 kIp4;
const slow::Ip6 kIp6;

Bytes Fragment4(slow::Ip4 ip, bool first) {
  ip.flags_fragment = first ? 0x2000 : 2;
  const Bytes udp = slow::MakeUdp(ip.source, ip.destination, slow::Payload(24));
  return slow::Ethernet(0x0800) + slow::MakeIp4(ip, slow::Slice(udp, first ? 0 : 16, 16));
}

// `before`: the extension headers before the fragment header. The last one's next header is 44.
// `type`: the type of the first one.
Bytes Fragment6(uint32_t id, bool first, uint8_t type = 44, const Bytes& before = {},
                uint8_t next = 17, const Bytes& behind = {}) {
  slow::Ip6 ip;
  ip.next_header = type;
  Bytes header = {next, 0, 0, static_cast<uint8_t>(first ? 1 : 16), 0, 0, 0, 0};
  slow::Put16(&header, 4, id >> 16);
  slow::Put16(&header, 6, id & 0xffff);
  const Bytes udp = slow::MakeUdp(ip.source, ip.destination, slow::Payload(24));
  return slow::Ethernet(0x86dd) +
         slow::MakeIp6(ip, before + header + behind + slow::Slice(udp, first ? 0 : 16, 16));
}

TEST(Fragment, MakesTheKeyOfTheWorkedExample) {
  const FlowKey key = KeyOf(Fragment4(kIp4, false));
  EXPECT_EQ(key.size_bytes, 16U);
  EXPECT_EQ(key.words[0], 0x0a7100cb'076433c6U);
  EXPECT_EQ(key.words[1], 0x00000011'00003412U);
}

TEST(Fragment, FirstAndLaterFragmentsHaveTheSameKey) {
  EXPECT_TRUE(KeyOf(Fragment4(kIp4, true)) == KeyOf(Fragment4(kIp4, false)));
  EXPECT_TRUE(KeyOf(Fragment6(0x01020304, true)) == KeyOf(Fragment6(0x01020304, false)));
}

TEST(Fragment, TheKeyContainsEveryPartOfTheIpv4Identity) {
  const FlowKey key = KeyOf(Fragment4(kIp4, false));
  slow::Ip4 other = kIp4;
  other.id = 0x1235;
  EXPECT_FALSE(KeyOf(Fragment4(other, false)) == key);
  other = kIp4;
  other.protocol = 6;
  EXPECT_FALSE(KeyOf(Fragment4(other, false)) == key);
  other = kIp4;
  other.source[3] = 8;
  EXPECT_FALSE(KeyOf(Fragment4(other, false)) == key);
  other = kIp4;
  other.destination[3] = 8;
  EXPECT_FALSE(KeyOf(Fragment4(other, false)) == key);
}

TEST(Fragment, TheKeyDoesNotContainTheNextHeaderOfIpv6Fragments) {
  const FlowKey key = KeyOf(Fragment6(0x01020304, true));
  EXPECT_TRUE(KeyOf(Fragment6(0x01020304, false, 44, {}, 59)) == key);
  EXPECT_FALSE(KeyOf(Fragment6(0x01020305, false)) == key);
  EXPECT_FALSE(KeyOf(Fragment6(0x81020304, false)) == key);
}

TEST(Fragment, FindsTheIpv6FragmentHeaderBetweenOtherHeaders) {
  const FlowKey key = KeyOf(Fragment6(0x01020304, true));
  const Bytes hop_by_hop = {60, 0, 1, 4, 0, 0, 0, 0};
  const Bytes options = {43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const Bytes routing = {51, 0, 0, 0, 0, 0, 0, 0};
  const Bytes ah = {44, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
  const Bytes behind = {17, 0, 1, 4, 0, 0, 0, 0};
  const Bytes chain = hop_by_hop + options + routing + ah;
  EXPECT_TRUE(KeyOf(Fragment6(0x01020304, true, 0, chain, 60, behind)) == key);
  EXPECT_TRUE(KeyOf(Fragment6(0x01020304, false, 0, chain)) == key);
}

}  // namespace
}  // namespace fairlead
