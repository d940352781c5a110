#include "lib/encap/tunnel.h"

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/net/checksum.h"
#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::HasSubstr;

constexpr uint8_t kNextHop[6] = {2, 0, 0, 0, 0, 0xb};
constexpr uint8_t kPort[6] = {2, 0, 0, 0, 0, 0xa};
const Bytes kMacs = {2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa};
const Bytes kEthernet4 = kMacs + Bytes{8, 0};
const Bytes kEthernet6 = kMacs + Bytes{0x86, 0xdd};
const Bytes kOwn4 = {192, 0, 2, 1};
const Bytes kBackend4 = {10, 0, 0, 11};
const Bytes kOwn6 = {0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const Bytes kBackend6 = {0x20, 1, 0xd, 0xb8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11};

IpAddress Address(const std::string& text) { return IpAddress::Parse(text).value(); }

TunnelTemplate Make(TunnelKind kind, Family outer, uint8_t prefix_bits = 0) {
  TunnelSettings settings;
  settings.kind = kind;
  const bool v4 = outer == Family::kIpv4;
  settings.source = Address(v4 ? "192.0.2.1" : "2001:db8:2::1");
  if (prefix_bits != 0) settings.source = Address(v4 ? "172.16.0.0" : "2001:db8:2::");
  settings.source_prefix_bits = prefix_bits;
  settings.destination = Address(v4 ? "10.0.0.11" : "2001:db8:3::11");
  return MakeTunnelTemplate(settings).value();
}

// A frame with exactly `headroom` bytes before it. The sanitizers detect an access beyond them.
struct Buffer {
  Buffer(const Bytes& frame, uint32_t headroom) : bytes(Bytes(headroom, 0xee) + frame) {
    headroom_bytes = headroom;
    FlowKey key;
    const auto length = static_cast<uint32_t>(frame.size());
    ParseFrame(bytes.data() + headroom, length, length, &packet, &key);
    EXPECT_EQ(packet.defect, DropReason::kNone);
  }

  // Returns the encapsulated frame, or nothing if Encapsulate refuses it.
  Bytes Encapsulate(const TunnelTemplate& tunnel, uint64_t entropy, const Bytes& data = {}) {
    const uint32_t prepended =
        fairlead::Encapsulate(tunnel, bytes.data() + headroom_bytes, headroom_bytes, packet,
                              entropy, kNextHop, kPort, data);
    if (prepended == 0) return {};
    return slow::Slice(bytes, headroom_bytes - prepended,
                       prepended + packet.l3_offset + packet.l3_length);
  }

  Bytes bytes;
  uint32_t headroom_bytes;
  ParsedPacket packet;
};

Bytes Inner4(uint8_t tos = 0, size_t payload = 20) {
  const slow::Ip4 ip{.tos = tos};
  return slow::MakeIp4(ip, slow::MakeUdp(ip.source, ip.destination, slow::Payload(payload)));
}
Bytes Inner6(uint8_t traffic_class = 0, size_t payload = 20) {
  const slow::Ip6 ip{.traffic_class = traffic_class, .flow_label = 0xabcde};
  return slow::MakeIp6(ip, slow::MakeUdp(ip.source, ip.destination, slow::Payload(payload)));
}

// The outer headers as RFC 2003 defines them, built without lib/encap.
Bytes Outer4(uint8_t protocol, uint8_t tos, const Bytes& source, const Bytes& payload) {
  const slow::Ip4 ip{.source = source,
                     .destination = kBackend4,
                     .protocol = protocol,
                     .tos = tos,
                     .id = 0,
                     .flags_fragment = 0x4000};
  return slow::MakeIp4(ip, payload);
}
Bytes Outer6(uint8_t protocol, uint8_t traffic_class, uint32_t label, const Bytes& payload) {
  const slow::Ip6 ip{.source = kOwn6,
                     .destination = kBackend6,
                     .next_header = protocol,
                     .traffic_class = traffic_class,
                     .flow_label = label};
  return slow::MakeIp6(ip, payload);
}
Bytes Gue(uint16_t source_port, uint8_t inner_protocol, const Bytes& inner,
          const Bytes& data = {}) {
  Bytes udp(12);
  slow::Put16(&udp, 0, source_port);
  slow::Put16(&udp, 2, 6080);
  slow::Put16(&udp, 4, static_cast<uint32_t>(12 + data.size() + inner.size()));
  udp[8] = static_cast<uint8_t>(data.size() / 4);
  udp[9] = inner_protocol;
  return udp + data + inner;
}

TEST(Tunnel, OverheadsAreExact) {
  EXPECT_EQ(TunnelOverhead(TunnelKind::kIpip, Family::kIpv4), 20U);
  EXPECT_EQ(TunnelOverhead(TunnelKind::kIpip, Family::kIpv6), 40U);
  EXPECT_EQ(TunnelOverhead(TunnelKind::kGue, Family::kIpv4), 32U);
  EXPECT_EQ(TunnelOverhead(TunnelKind::kGue, Family::kIpv6), 52U);
}

TEST(Tunnel, EncapsulatesIpv4InIpv4) {
  Buffer buffer(slow::Ethernet(0x0800) + Inner4(), 20);
  EXPECT_EQ(buffer.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv4), 1),
            kEthernet4 + Outer4(4, 0, kOwn4, Inner4()));
}

TEST(Tunnel, EncapsulatesIpv6InIpv4) {
  Buffer buffer(slow::Ethernet(0x86dd) + Inner6(), 20);
  EXPECT_EQ(buffer.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv4), 1),
            kEthernet4 + Outer4(41, 0, kOwn4, Inner6()));
}

TEST(Tunnel, EncapsulatesIpv4InIpv6) {
  Buffer buffer(slow::Ethernet(0x0800) + Inner4(), 40);
  EXPECT_EQ(buffer.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv6), uint64_t{0x12345} << 44),
            kEthernet6 + Outer6(4, 0, 0x12345, Inner4()));
}

TEST(Tunnel, EncapsulatesIpv6InIpv6) {
  Buffer buffer(slow::Ethernet(0x86dd) + Inner6(), 40);
  EXPECT_EQ(buffer.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv6), ~uint64_t{0}),
            kEthernet6 + Outer6(41, 0, 0xfffff, Inner6()));
}

TEST(Tunnel, SetsIpv6FlowLabelOneWhenTheEntropyGivesZero) {
  Buffer buffer(slow::Ethernet(0x86dd) + Inner6(), 40);
  EXPECT_EQ(buffer.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv6), 0xfffffffffff),
            kEthernet6 + Outer6(41, 0, 1, Inner6()));
}

TEST(Tunnel, EncapsulatesBothFamiliesInGueOverIpv4) {
  const TunnelTemplate tunnel = Make(TunnelKind::kGue, Family::kIpv4);
  Buffer v4(slow::Ethernet(0x0800) + Inner4(), 32);
  EXPECT_EQ(v4.Encapsulate(tunnel, 0), kEthernet4 + Outer4(17, 0, kOwn4, Gue(49152, 4, Inner4())));
  Buffer v6(slow::Ethernet(0x86dd) + Inner6(), 32);
  EXPECT_EQ(v6.Encapsulate(tunnel, ~uint64_t{0}),
            kEthernet4 + Outer4(17, 0, kOwn4, Gue(65535, 41, Inner6())));
}

TEST(Tunnel, EncapsulatesBothFamiliesInGueOverIpv6) {
  const TunnelTemplate tunnel = Make(TunnelKind::kGue, Family::kIpv6);
  const uint64_t entropy = uint64_t{0x2a} << 50;
  const auto label = static_cast<uint32_t>(entropy >> 44);
  Buffer v4(slow::Ethernet(0x0800) + Inner4(), 52);
  EXPECT_EQ(v4.Encapsulate(tunnel, entropy),
            kEthernet6 + Outer6(17, 0, label, Gue(49152 + 0x2a, 4, Inner4())));
  Buffer v6(slow::Ethernet(0x86dd) + Inner6(), 52);
  EXPECT_EQ(v6.Encapsulate(tunnel, entropy),
            kEthernet6 + Outer6(17, 0, label, Gue(49152 + 0x2a, 41, Inner6())));
}

TEST(Tunnel, CopiesDscpAndEcnOfEveryValue) {
  for (uint32_t tos = 0; tos < 256; ++tos) {
    const auto value = static_cast<uint8_t>(tos);
    Buffer a(slow::Ethernet(0x0800) + Inner4(value), 20);
    EXPECT_EQ(a.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv4), 1),
              kEthernet4 + Outer4(4, value, kOwn4, Inner4(value)));
    Buffer b(slow::Ethernet(0x86dd) + Inner6(value), 52);
    EXPECT_EQ(b.Encapsulate(Make(TunnelKind::kGue, Family::kIpv6), 0),
              kEthernet6 + Outer6(17, value, 1, Gue(49152, 41, Inner6(value))));
    Buffer c(slow::Ethernet(0x86dd) + Inner6(value), 20);
    EXPECT_EQ(c.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv4), 1),
              kEthernet4 + Outer4(41, value, kOwn4, Inner6(value)));
  }
}

TEST(Tunnel, KeepsOneOrTwoVlanTags) {
  for (const TunnelKind kind : {TunnelKind::kIpip, TunnelKind::kGue}) {
    const TunnelTemplate tunnel = Make(kind, Family::kIpv6);
    Buffer plain(slow::Ethernet(0x0800) + Inner4(), 52);
    const Bytes expected = plain.Encapsulate(tunnel, 7);
    const Bytes outer = slow::Slice(expected, 14, expected.size() - 14);
    Buffer one(slow::Ethernet(0x0800, {{0x8100, 0x6005}}) + Inner4(), 52);
    EXPECT_EQ(one.Encapsulate(tunnel, 7), (kMacs + Bytes{0x81, 0, 0x60, 5, 0x86, 0xdd} + outer));
    Buffer two(slow::Ethernet(0x0800, {{0x88a8, 0x0123}, {0x8100, 0x6005}}) + Inner4(), 52);
    EXPECT_EQ(two.Encapsulate(tunnel, 7),
              (kMacs + Bytes{0x88, 0xa8, 1, 0x23, 0x81, 0, 0x60, 5, 0x86, 0xdd} + outer));
  }
}

TEST(Tunnel, RefusesWhenOneByteOfHeadroomIsMissing) {
  for (const TunnelKind kind : {TunnelKind::kIpip, TunnelKind::kGue}) {
    for (const Family outer : {Family::kIpv4, Family::kIpv6}) {
      const uint32_t overhead = TunnelOverhead(kind, outer);
      const Bytes frame = slow::Ethernet(0x0800) + Inner4();
      Buffer tight(frame, overhead - 1);
      const Bytes before = tight.bytes;
      EXPECT_EQ(tight.Encapsulate(Make(kind, outer), 1), Bytes{});
      EXPECT_EQ(tight.bytes, before);
      Buffer enough(frame, overhead);
      EXPECT_EQ(enough.Encapsulate(Make(kind, outer), 1).size(), frame.size() + overhead);
    }
  }
}

TEST(Tunnel, DoesNotEncapsulatePadding) {
  Buffer buffer(slow::Ethernet(0x0800) + Inner4(0, 1) + Bytes(17, 0xdd), 20);
  EXPECT_EQ(buffer.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv4), 1),
            kEthernet4 + Outer4(4, 0, kOwn4, Inner4(0, 1)));
}

TEST(Tunnel, TakesIpv4HostBitsFromEntropy) {
  Buffer buffer(slow::Ethernet(0x0800) + Inner4(), 20);
  EXPECT_EQ(buffer.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv4, 12), 0xffffffffffffffff),
            kEthernet4 + Outer4(4, 0, Bytes{172, 31, 255, 255}, Inner4()));
  Buffer other(slow::Ethernet(0x0800) + Inner4(), 20);
  EXPECT_EQ(other.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv4, 20), 0x0403ff01),
            kEthernet4 + Outer4(4, 0, {172, 16, 0x03, 0x04}, Inner4()));
}

TEST(Tunnel, TakesIpv6HostBitsFromEntropy) {
  Buffer wide(slow::Ethernet(0x0800) + Inner4(), 40);
  Bytes frame = wide.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv6, 48), 0x0102030405060708);
  EXPECT_EQ(slow::Slice(frame, 14 + 8, 16),
            (Bytes{0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1}));
  Buffer narrow(slow::Ethernet(0x0800) + Inner4(), 40);
  frame = narrow.Encapsulate(Make(TunnelKind::kIpip, Family::kIpv6, 108), ~uint64_t{0});
  EXPECT_EQ(slow::Slice(frame, 14 + 8, 16),
            (Bytes{0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0xff, 0xff}));
}

TEST(Tunnel, CarriesGueDataBetweenHeaderAndInnerPacket) {
  for (size_t length = 4; length <= kMaxGueDataBytes; length += 4) {
    const Bytes data = slow::Payload(length, 0x80);
    Buffer v4(slow::Ethernet(0x0800) + Inner4(), static_cast<uint32_t>(32 + length));
    EXPECT_EQ(v4.Encapsulate(Make(TunnelKind::kGue, Family::kIpv4), 0, data),
              kEthernet4 + Outer4(17, 0, kOwn4, Gue(49152, 4, Inner4(), data)));
    Buffer v6(slow::Ethernet(0x86dd) + Inner6(), static_cast<uint32_t>(52 + length - 1));
    EXPECT_EQ(v6.Encapsulate(Make(TunnelKind::kGue, Family::kIpv6), 0, data), Bytes{});
  }
}

TEST(Tunnel, OuterIpv4ChecksumIsRightForRandomPackets) {
  const uint32_t seed = 20240611;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20000; ++i) {
    TunnelSettings settings;
    settings.kind = TunnelKind::kIpip;
    const uint8_t source[4] = {static_cast<uint8_t>(1 + random() % 100), 0, 0, 0};
    const uint8_t destination[4] = {static_cast<uint8_t>(1 + random() % 100),
                                    static_cast<uint8_t>(random()), static_cast<uint8_t>(random()),
                                    static_cast<uint8_t>(random())};
    settings.source = IpAddress::FromV4(source);
    settings.source_prefix_bits = 8;
    settings.destination = IpAddress::FromV4(destination);
    const bool v4 = random() % 2 == 0;
    const size_t payload = random() % 40;
    const auto tos = static_cast<uint8_t>(random());
    Buffer buffer(v4 ? slow::Ethernet(0x0800) + Inner4(tos, payload)
                     : slow::Ethernet(0x86dd) + Inner6(tos, payload),
                  20);
    const Bytes frame = buffer.Encapsulate(MakeTunnelTemplate(settings).value(), random());
    ASSERT_EQ(slow::Sum(slow::Slice(frame, 14, 20)), 0xffff) << i;
    ASSERT_NE(slow::Get16(frame, 14 + 10), 0xffff) << i;
  }
}

TEST(Tunnel, FillsInTheGueChecksumWhenAsked) {
  for (size_t payload = 0; payload < 30; ++payload) {
    for (const Family outer : {Family::kIpv4, Family::kIpv6}) {
      const bool v4 = outer == Family::kIpv4;
      const Bytes inner = Inner4(0, payload);
      Buffer buffer(slow::Ethernet(0x0800) + inner, 60);
      Bytes frame = buffer.Encapsulate(Make(TunnelKind::kGue, outer), 99, slow::Payload(8));
      SetGueChecksum(frame.data() + 14, ChecksumPartial(inner.data(), inner.size(), 0));
      const size_t udp = v4 ? 34 : 54;
      EXPECT_EQ(slow::L4Sum(v4 ? kOwn4 : kOwn6, v4 ? kBackend4 : kBackend6, 17,
                            slow::Slice(frame, udp, frame.size() - udp)),
                0xffff);
      EXPECT_NE(slow::Get16(frame, udp + 6), 0);
    }
  }
}

struct RefusedRow {
  const char* what;
  TunnelKind kind;
  const char* source;
  uint8_t prefix_bits;
  const char* destination;
  uint16_t gue_port;
  const char* message;
};

TEST(Tunnel, RejectsSettingsThatCannotWork) {
  const RefusedRow rows[] = {
      {"families", TunnelKind::kIpip, "192.0.2.1", 0, "2001:db8::1", 6080, "families differ"},
      {"no source", TunnelKind::kIpip, "0.0.0.0", 0, "10.0.0.1", 6080, "tunnel source 0.0.0.0"},
      {"group", TunnelKind::kIpip, "192.0.2.1", 0, "224.0.0.1", 6080, "destination 224.0.0.1"},
      {"port", TunnelKind::kGue, "192.0.2.1", 0, "10.0.0.1", 0, "gue_port 0"},
      {"gue prefix", TunnelKind::kGue, "10.0.0.0", 8, "10.0.0.1", 6080, "only ipip"},
      {"host bits", TunnelKind::kIpip, "10.0.0.1", 24, "10.0.0.1", 6080, "10.0.0.1/24: bits"},
      {"all host", TunnelKind::kIpip, "10.0.0.0", 7, "10.0.0.1", 6080, "must be 8 to 31"},
      {"no host", TunnelKind::kIpip, "10.0.0.0", 32, "10.0.0.1", 6080, "must be 8 to 31"},
      {"v6 no host", TunnelKind::kIpip, "2001:db8::", 128, "2001:db8::1", 6080, "16 to 127"},
  };
  for (const RefusedRow& row : rows) {
    TunnelSettings settings;
    settings.kind = row.kind;
    settings.source = Address(row.source);
    settings.source_prefix_bits = row.prefix_bits;
    settings.destination = Address(row.destination);
    settings.gue_port = row.gue_port;
    const auto result = MakeTunnelTemplate(settings);
    ASSERT_FALSE(result.ok()) << row.what;
    EXPECT_EQ(result.status().code(), ErrorCode::kInvalidArgument) << row.what;
    EXPECT_THAT(result.status().message(), HasSubstr(row.message)) << row.what;
  }
}

}  // namespace
}  // namespace fairlead
