#include "lib/net/icmp_generate.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::HasSubstr;

const Bytes kClient4 = {198, 51, 100, 7};
const Bytes kFrontend4 = {203, 0, 113, 10};
const Bytes kOwn4 = {192, 0, 2, 1};
const Bytes kClient6 = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
const Bytes kFrontend6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
const Bytes kOwn6 = {0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const MacAddress kPortMac = {{2, 0, 0, 0, 0, 0xa}};
const Bytes kMacs = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0xa};

Bytes Packet4(size_t payload, uint16_t flags_fragment = 0x4000, const Bytes& options = {}) {
  const slow::Ip4 ip{.flags_fragment = flags_fragment, .options = options};
  return slow::MakeIp4(ip, slow::MakeUdp(kClient4, kFrontend4, slow::Payload(payload)));
}
Bytes Packet6(size_t payload) {
  return slow::MakeIp6({}, slow::MakeUdp(kClient6, kFrontend6, slow::Payload(payload)));
}

ParsedPacket Parse(const Bytes& frame) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  EXPECT_EQ(packet.defect, DropReason::kNone);
  return packet;
}

Bytes Make(IcmpErrorKind kind, const Bytes& frame, uint32_t mtu = 1480,
           uint32_t capacity = kMaxIcmpErrorFrame) {
  const ParsedPacket packet = Parse(frame);
  const IpAddress source = packet.kind == FrameKind::kIpv4
                               ? IpAddress::FromV4(std::span<const uint8_t, 4>(kOwn4.data(), 4))
                               : IpAddress::FromV6(std::span<const uint8_t, 16>(kOwn6.data(), 16));
  Bytes out(capacity);
  out.resize(MakeIcmpError(kind, frame.data(), static_cast<uint32_t>(frame.size()), packet, source,
                           kPortMac, mtu, out.data(), capacity));
  return out;
}

Bytes Expected4(uint8_t type, uint8_t code, uint32_t rest, const Bytes& quote) {
  const slow::Ip4 ip{.source = kOwn4, .destination = kClient4, .protocol = 1, .tos = 0xc0, .id = 0};
  return slow::MakeIp4(ip, slow::MakeIcmp4(type, code, rest, quote));
}
Bytes Expected6(uint8_t type, uint32_t rest, const Bytes& quote) {
  const slow::Ip6 ip{.source = kOwn6, .destination = kClient6, .next_header = 58};
  return slow::MakeIp6(ip, slow::MakeIcmp6(kOwn6, kClient6, type, 0, rest, quote));
}
Bytes Head(const Bytes& bytes, size_t most) {
  return slow::Slice(bytes, 0, std::min(bytes.size(), most));
}

TEST(IcmpGenerate, TooBigHasAtMost576BytesOverIpv4) {
  for (const size_t payload : {0U, 1U, 27U, 519U, 520U, 521U, 1472U}) {
    EXPECT_EQ(Make(IcmpErrorKind::kTooBig, slow::Ethernet(0x0800) + Packet4(payload)),
              (kMacs + Bytes{8, 0} + Expected4(3, 4, 1480, Head(Packet4(payload), 548))))
        << payload;
  }
  EXPECT_EQ(Make(IcmpErrorKind::kTooBig, slow::Ethernet(0x0800) + Packet4(1472)).size(),
            14U + 576U);
}

TEST(IcmpGenerate, TooBigHasAtMost1280BytesOverIpv6) {
  for (const size_t payload : {0U, 1U, 1183U, 1184U, 1185U, 1452U}) {
    EXPECT_EQ(Make(IcmpErrorKind::kTooBig, slow::Ethernet(0x86dd) + Packet6(payload), 100000),
              (kMacs + Bytes{0x86, 0xdd} + Expected6(2, 100000, Head(Packet6(payload), 1232))))
        << payload;
  }
  EXPECT_EQ(Make(IcmpErrorKind::kTooBig, slow::Ethernet(0x86dd) + Packet6(1452)).size(),
            14U + 1280U);
}

TEST(IcmpGenerate, MakesTimeExceededForBothFamilies) {
  EXPECT_EQ(Make(IcmpErrorKind::kTimeExceeded, slow::Ethernet(0x0800) + Packet4(9)),
            (kMacs + Bytes{8, 0} + Expected4(11, 0, 0, Packet4(9))));
  EXPECT_EQ(Make(IcmpErrorKind::kTimeExceeded, slow::Ethernet(0x86dd) + Packet6(9)),
            (kMacs + Bytes{0x86, 0xdd} + Expected6(3, 0, Packet6(9))));
}

TEST(IcmpGenerate, KeepsTheVlanTagsOfThePacket) {
  EXPECT_EQ(
      Make(IcmpErrorKind::kTimeExceeded,
           slow::Ethernet(0x0800, {{0x88a8, 7}, {0x8100, 0x6005}}) + Packet4(9)),
      (kMacs + Bytes{0x88, 0xa8, 0, 7, 0x81, 0, 0x60, 5, 8, 0} + Expected4(11, 0, 0, Packet4(9))));
}

TEST(IcmpGenerate, QuotesOptionsButNoPadding) {
  const Bytes packet = Packet4(1, 0, {7, 7, 4, 0, 0, 0, 0, 0});
  EXPECT_EQ(Make(IcmpErrorKind::kTimeExceeded, slow::Ethernet(0x0800) + packet + Bytes(9, 0xee)),
            (kMacs + Bytes{8, 0} + Expected4(11, 0, 0, packet)));
}

TEST(IcmpGenerate, ReportsAnIpv4MtuOfAtMost16Bits) {
  const Bytes error = Make(IcmpErrorKind::kTooBig, slow::Ethernet(0x0800) + Packet4(9), 70000);
  EXPECT_EQ(error, (kMacs + Bytes{8, 0} + Expected4(3, 4, 65535, Packet4(9))));
}

TEST(IcmpGenerate, LargestErrorFitsTheLargestFrame) {
  const Bytes frame = slow::Ethernet(0x86dd, {{0x88a8, 7}, {0x8100, 5}}) + Packet6(1452);
  EXPECT_EQ(Make(IcmpErrorKind::kTooBig, frame).size(), kMaxIcmpErrorFrame);
  EXPECT_EQ(Make(IcmpErrorKind::kTooBig, frame, 1280, kMaxIcmpErrorFrame - 1), Bytes{});
}

TEST(IcmpGenerate, MakesNoErrorAboutAnIcmpError) {
  const std::initializer_list<uint8_t> queries4 = {0, 8, 9, 10, 13, 14};
  for (uint32_t type = 0; type < 256; ++type) {
    const auto value = static_cast<uint8_t>(type);
    const bool query4 = std::find(queries4.begin(), queries4.end(), value) != queries4.end();
    const Bytes v4 = slow::Ethernet(0x0800) +
                     slow::MakeIp4({.protocol = 1}, slow::MakeIcmp4(value, 0, 0, Bytes(9)));
    EXPECT_EQ(Make(IcmpErrorKind::kTimeExceeded, v4).empty(), !query4) << type;
    const Bytes v6 = slow::Ethernet(0x86dd) +
                     slow::MakeIp6({.next_header = 58},
                                   slow::MakeIcmp6(kClient6, kFrontend6, value, 0, 0, Bytes(24)));
    EXPECT_EQ(Make(IcmpErrorKind::kTimeExceeded, v6).empty(), type < 128 || type == 137) << type;
  }
}

TEST(IcmpGenerate, MakesNoErrorAboutALaterFragment) {
  EXPECT_EQ(Make(IcmpErrorKind::kTimeExceeded, slow::Ethernet(0x0800) + Packet4(64, 1)), Bytes{});
  EXPECT_FALSE(
      Make(IcmpErrorKind::kTimeExceeded, slow::Ethernet(0x0800) + Packet4(64, 0x2000)).empty());
  const Bytes later = {17, 0, 0, 8, 0, 0, 0, 1};
  EXPECT_EQ(Make(IcmpErrorKind::kTooBig,
                 slow::Ethernet(0x86dd) + slow::MakeIp6({.next_header = 44}, later + Bytes(32))),
            Bytes{});
}

TEST(IcmpGenerate, MakesNoErrorAboutMulticastOrBroadcast) {
  Bytes group_mac = slow::Ethernet(0x0800) + Packet4(9);
  group_mac[0] = 0x01;
  EXPECT_EQ(Make(IcmpErrorKind::kTimeExceeded, group_mac), Bytes{});
  for (const Bytes& destination : {Bytes{224, 0, 0, 1}, Bytes{255, 255, 255, 255}}) {
    const slow::Ip4 ip{.destination = destination};
    EXPECT_EQ(
        Make(IcmpErrorKind::kTimeExceeded,
             slow::Ethernet(0x0800) + slow::MakeIp4(ip, slow::MakeUdp(kClient4, destination, {}))),
        Bytes{});
  }
  Bytes all_nodes(16);
  all_nodes[0] = 0xff;
  all_nodes[15] = 1;
  const slow::Ip6 ip{.destination = all_nodes};
  EXPECT_EQ(Make(IcmpErrorKind::kTooBig,
                 slow::Ethernet(0x86dd) +
                     slow::MakeIp6(ip, slow::MakeUdp(kClient6, all_nodes, Bytes(9)))),
            Bytes{});
}

TEST(IcmpGenerate, QuotesOnlyContiguousBytes) {
  const Bytes frame = slow::Ethernet(0x0800) + Packet4(300);
  const ParsedPacket packet = Parse(frame);
  Bytes out(kMaxIcmpErrorFrame);
  const Bytes head = Head(frame, 60);
  out.resize(MakeIcmpError(IcmpErrorKind::kTimeExceeded, head.data(), 60, packet,
                           IpAddress::FromV4(std::span<const uint8_t, 4>(kOwn4.data(), 4)),
                           kPortMac, 0, out.data(), kMaxIcmpErrorFrame));
  EXPECT_EQ(out, (kMacs + Bytes{8, 0} + Expected4(11, 0, 0, Head(Packet4(300), 46))));
}

TEST(IcmpGenerate, PathMtuIsTheMtuLessTheExactOverhead) {
  EXPECT_EQ(PathMtu(1500, 0), 1500U);
  EXPECT_EQ(PathMtu(1500, 20), 1480U);
  EXPECT_EQ(PathMtu(1500, 40), 1460U);
  EXPECT_EQ(PathMtu(1500, 32), 1468U);
  EXPECT_EQ(PathMtu(1500, 52), 1448U);
  EXPECT_EQ(PathMtu(20, 20), 0U);
}

TEST(IcmpGenerate, RefusesAnMtuThatLeavesClientsLessThanTheMinimum) {
  EXPECT_TRUE(CheckPathMtu(1332, 52, Family::kIpv6).ok());
  const Status status = CheckPathMtu(1331, 52, Family::kIpv6);
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("mtu 1331"));
  EXPECT_THAT(status.message(), HasSubstr("at least 1332"));
  EXPECT_TRUE(CheckPathMtu(1331, 52, Family::kIpv4).ok());
  EXPECT_TRUE(CheckPathMtu(88, 20, Family::kIpv4).ok());
  EXPECT_FALSE(CheckPathMtu(87, 20, Family::kIpv4).ok());
}

}  // namespace
}  // namespace fairlead
