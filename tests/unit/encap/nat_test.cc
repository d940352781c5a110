#include "lib/encap/nat.h"

#include <cstdint>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

constexpr uint8_t kNextHop[6] = {2, 0, 0, 0, 0, 0xb};
constexpr uint8_t kPort[6] = {2, 0, 0, 0, 0, 0xa};
const Bytes kMacs = {2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa};
const Bytes kClient4 = {198, 51, 100, 7};
const Bytes kFrontend4 = {203, 0, 113, 10};
const Bytes kBackend4 = {10, 0, 0, 11};
const Bytes kClient6 = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
const Bytes kFrontend6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
const Bytes kBackend6 = {0x20, 1, 0xd, 0xb8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11};
constexpr uint8_t kSyn = 2;
constexpr uint8_t kAck = 16;

NatEndpoint Endpoint4(const Bytes& address, uint16_t port) {
  return NatEndpoint::Make(IpAddress::FromV4(std::span<const uint8_t, 4>(address.data(), 4)), port);
}
NatEndpoint Endpoint6(const Bytes& address, uint16_t port) {
  return NatEndpoint::Make(IpAddress::FromV6(std::span<const uint8_t, 16>(address.data(), 16)),
                           port);
}

Bytes Forward(Bytes frame, const NatEndpoint& backend) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  EXPECT_EQ(packet.defect, DropReason::kNone);
  RewriteNatToBackend(frame.data(), packet, backend, kNextHop, kPort);
  return frame;
}
Bytes Reverse(Bytes frame, const NatEndpoint& frontend) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  EXPECT_EQ(packet.defect, DropReason::kNone);
  RewriteNatToClient(frame.data(), packet, frontend, kNextHop, kPort);
  return frame;
}

Bytes Tcp4(const Bytes& source, const Bytes& destination, uint16_t source_port,
           uint16_t destination_port, uint8_t ttl, const Bytes& ip_options = {}) {
  const slow::Ip4 ip{.source = source,
                     .destination = destination,
                     .protocol = 6,
                     .ttl = ttl,
                     .options = ip_options};
  return slow::MakeIp4(ip, slow::MakeTcp(source, destination, kAck, {}, slow::Payload(33),
                                         source_port, destination_port));
}
Bytes Udp4(const Bytes& source, const Bytes& destination, uint16_t source_port,
           uint16_t destination_port, uint8_t ttl) {
  const slow::Ip4 ip{.source = source, .destination = destination, .ttl = ttl};
  return slow::MakeIp4(
      ip, slow::MakeUdp(source, destination, slow::Payload(9), source_port, destination_port));
}
Bytes Udp6(const Bytes& source, const Bytes& destination, uint16_t source_port,
           uint16_t destination_port, uint8_t hop_limit) {
  const slow::Ip6 ip{.source = source, .destination = destination, .hop_limit = hop_limit};
  return slow::MakeIp6(
      ip, slow::MakeUdp(source, destination, slow::Payload(9), source_port, destination_port));
}

const Bytes kIn4 = slow::Ethernet(0x0800);
const Bytes kOut4 = kMacs + Bytes{8, 0};
const Bytes kIn6 = slow::Ethernet(0x86dd);
const Bytes kOut6 = kMacs + Bytes{0x86, 0xdd};

TEST(Nat, RewritesTcpOverIpv4InBothDirections) {
  EXPECT_EQ(Forward(kIn4 + Tcp4(kClient4, kFrontend4, 40000, 80, 64), Endpoint4(kBackend4, 8080)),
            kOut4 + Tcp4(kClient4, kBackend4, 40000, 8080, 63));
  EXPECT_EQ(Reverse(kIn4 + Tcp4(kBackend4, kClient4, 8080, 40000, 2), Endpoint4(kFrontend4, 80)),
            kOut4 + Tcp4(kFrontend4, kClient4, 80, 40000, 1));
}

TEST(Nat, KeepsThePortWhenTheBackendHasNone) {
  EXPECT_EQ(Forward(kIn4 + Tcp4(kClient4, kFrontend4, 40000, 80, 64), Endpoint4(kBackend4, 0)),
            kOut4 + Tcp4(kClient4, kBackend4, 40000, 80, 63));
}

TEST(Nat, SkipsIpv4OptionsAndVlanTags) {
  const Bytes options = {7, 7, 4, 0, 0, 0, 0, 0};  // record route, empty
  EXPECT_EQ(Forward(kIn4 + Tcp4(kClient4, kFrontend4, 40000, 80, 64, options),
                    Endpoint4(kBackend4, 8080)),
            kOut4 + Tcp4(kClient4, kBackend4, 40000, 8080, 63, options));
  const Bytes tags = {0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 8, 0};
  EXPECT_EQ(Forward(slow::Ethernet(0x0800, {{0x88a8, 1}, {0x8100, 2}}) +
                        Udp4(kClient4, kFrontend4, 40000, 53, 64),
                    Endpoint4(kBackend4, 5353)),
            kMacs + tags + Udp4(kClient4, kBackend4, 40000, 5353, 63));
}

TEST(Nat, RewritesUdpOverIpv6InBothDirections) {
  EXPECT_EQ(Forward(kIn6 + Udp6(kClient6, kFrontend6, 40000, 53, 64), Endpoint6(kBackend6, 5353)),
            kOut6 + Udp6(kClient6, kBackend6, 40000, 5353, 63));
  EXPECT_EQ(Reverse(kIn6 + Udp6(kBackend6, kClient6, 5353, 40000, 64), Endpoint6(kFrontend6, 53)),
            kOut6 + Udp6(kFrontend6, kClient6, 53, 40000, 63));
}

TEST(Nat, SkipsIpv6ExtensionHeaders) {
  const Bytes extensions = {60, 0, 1, 4, 0, 0, 0, 0,   // hop-by-hop, PadN
                            6,  0, 1, 4, 0, 0, 0, 0};  // destination options, PadN
  const auto make = [&](const Bytes& destination, uint16_t port, uint8_t hop_limit) {
    const slow::Ip6 ip{.destination = destination, .next_header = 0, .hop_limit = hop_limit};
    return slow::MakeIp6(ip, extensions + slow::MakeTcp(kClient6, destination, kAck, {},
                                                        slow::Payload(5), 40000, port));
  };
  EXPECT_EQ(Forward(kIn6 + make(kFrontend6, 80, 9), Endpoint6(kBackend6, 8080)),
            kOut6 + make(kBackend6, 8080, 8));
}

TEST(Nat, LeavesAZeroUdpChecksumZero) {
  Bytes in = Udp4(kClient4, kFrontend4, 40000, 53, 64);
  Bytes out = Udp4(kClient4, kBackend4, 40000, 5353, 63);
  slow::Put16(&in, 26, 0);
  slow::Put16(&out, 26, 0);
  EXPECT_EQ(Forward(kIn4 + in, Endpoint4(kBackend4, 5353)), kOut4 + out);
}

// The last 16 bits of the payload make the rewritten datagram sum to zero.
TEST(Nat, SendsAComputedZeroChecksumAsAllOnes) {
  const auto datagram = [](const Bytes& destination, uint16_t port, uint16_t word) {
    Bytes payload(4);
    slow::Put16(&payload, 2, word);
    const slow::Ip4 ip{.destination = destination, .ttl = port == 53 ? uint8_t{64} : uint8_t{63}};
    return slow::MakeIp4(ip, slow::MakeUdp(kClient4, destination, payload, 40000, port));
  };
  const uint16_t word = slow::Get16(datagram(kBackend4, 5353, 0), 26);
  const Bytes expected = datagram(kBackend4, 5353, word);
  ASSERT_EQ(slow::Get16(expected, 26), 0xffff);
  EXPECT_EQ(Forward(kIn4 + datagram(kFrontend4, 53, word), Endpoint4(kBackend4, 5353)),
            kOut4 + expected);
}

TEST(Nat, TreatsAnAllOnesChecksumAsZero) {
  const auto datagram = [](const Bytes& destination, uint16_t port, uint16_t word) {
    Bytes payload(4);
    slow::Put16(&payload, 2, word);
    const slow::Ip4 ip{.destination = destination, .ttl = port == 53 ? uint8_t{64} : uint8_t{63}};
    return slow::MakeIp4(ip, slow::MakeUdp(kClient4, destination, payload, 40000, port));
  };
  const uint16_t word = slow::Get16(datagram(kFrontend4, 53, 0), 26);
  ASSERT_EQ(slow::Get16(datagram(kFrontend4, 53, word), 26), 0xffff);
  EXPECT_EQ(Forward(kIn4 + datagram(kFrontend4, 53, word), Endpoint4(kBackend4, 5353)),
            kOut4 + datagram(kBackend4, 5353, word));
}

TEST(Nat, WrongChecksumsStayWrongByTheSameAmount) {
  Bytes in = Tcp4(kClient4, kFrontend4, 40000, 80, 64);
  slow::Put16(&in, 10, slow::Get16(in, 10) ^ 0x0100U);
  slow::Put16(&in, 36, slow::Get16(in, 36) ^ 0x0001U);
  const Bytes out = Forward(kIn4 + in, Endpoint4(kBackend4, 8080));
  const auto wrong = [](const Bytes& ip) {
    const Bytes l4 = slow::Slice(ip, 20, ip.size() - 20);
    return std::pair(slow::Sum(slow::Slice(ip, 0, 20)),
                     slow::L4Sum(slow::Slice(ip, 12, 4), slow::Slice(ip, 16, 4), 6, l4));
  };
  EXPECT_NE(wrong(in).first, 0xffff);
  EXPECT_NE(wrong(in).second, 0xffff);
  EXPECT_EQ(wrong(slow::Slice(out, 14, out.size() - 14)), wrong(in));
}

// A datagram with 24 bytes of payload in two fragments. After reassembly its checksum is correct.
TEST(Nat, RewritesBothFragmentsOfADatagram) {
  const auto fragment = [](const Bytes& destination, uint16_t port, bool first, uint8_t ttl) {
    const Bytes whole = slow::MakeUdp(kClient4, destination, slow::Payload(24), 40000, port);
    const slow::Ip4 ip{.destination = destination,
                       .ttl = ttl,
                       .flags_fragment = first ? uint16_t{0x2000} : uint16_t{2}};
    return slow::MakeIp4(ip, first ? slow::Slice(whole, 0, 16) : slow::Slice(whole, 16, 16));
  };
  for (const bool first : {true, false}) {
    EXPECT_EQ(Forward(kIn4 + fragment(kFrontend4, 53, first, 64), Endpoint4(kBackend4, 5353)),
              kOut4 + fragment(kBackend4, 5353, first, 63));
  }
}

TEST(Nat, RewritesBothIpv6FragmentsOfADatagram) {
  const auto fragment = [](const Bytes& destination, uint16_t port, bool first, uint8_t hop_limit) {
    const Bytes whole = slow::MakeUdp(kClient6, destination, slow::Payload(24), 40000, port);
    const slow::Ip6 ip{.destination = destination, .next_header = 44, .hop_limit = hop_limit};
    const Bytes header = {17, 0, 0, static_cast<uint8_t>(first ? 1 : 16), 1, 2, 3, 4};
    return slow::MakeIp6(ip,
                         header + (first ? slow::Slice(whole, 0, 16) : slow::Slice(whole, 16, 16)));
  };
  for (const bool first : {true, false}) {
    EXPECT_EQ(Forward(kIn6 + fragment(kFrontend6, 53, first, 64), Endpoint6(kBackend6, 5353)),
              kOut6 + fragment(kBackend6, 5353, first, 63));
  }
}

TEST(Nat, ChecksumsOfRandomPacketsEqualAFullComputation) {
  const uint32_t seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto address = [&] {
    return Bytes{static_cast<uint8_t>(1 + random() % 100), static_cast<uint8_t>(random()),
                 static_cast<uint8_t>(random()), static_cast<uint8_t>(random())};
  };
  const auto port = [&] { return static_cast<uint16_t>(1 + random() % 65535); };
  for (int i = 0; i < 20000; ++i) {
    const Bytes client = address();
    const Bytes frontend = address();
    const Bytes backend = address();
    const uint16_t client_port = port();
    const uint16_t frontend_port = port();
    const uint16_t backend_port = port();
    const auto make = random() % 2 == 0
                          ? Udp4
                          : [](const Bytes& s, const Bytes& d, uint16_t sp, uint16_t dp,
                               uint8_t ttl) { return Tcp4(s, d, sp, dp, ttl); };
    const auto ttl = static_cast<uint8_t>(2 + random() % 254);
    ASSERT_EQ(
        Forward(kIn4 + make(client, frontend, client_port, frontend_port, ttl),
                Endpoint4(backend, backend_port)),
        kOut4 + make(client, backend, client_port, backend_port, static_cast<uint8_t>(ttl - 1)))
        << i;
  }
}

Bytes Mss(uint16_t mss) {
  return {2, 4, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss)};
}

struct ClampRow {
  const char* what;
  uint8_t flags;
  Bytes options;
  Bytes expected;  // options afterwards
};

TEST(Nat, ClampsTheMssOfSynAndSynAckOnly) {
  const Bytes nop = {1};
  const Bytes end = {0};
  const Bytes window_scale = {3, 3, 7};
  const ClampRow rows[] = {
      {"SYN", kSyn, Mss(1460), Mss(1400)},
      {"SYN-ACK", kSyn | kAck, Mss(1460), Mss(1400)},
      {"ACK", kAck, Mss(1460), Mss(1460)},
      {"equal", kSyn, Mss(1400), Mss(1400)},
      {"never raised", kSyn, Mss(536), Mss(536)},
      {"largest", kSyn, Mss(65535), Mss(1400)},
      {"none", kSyn, {}, {}},
      {"behind others", kSyn, window_scale + nop + Mss(1460), window_scale + nop + Mss(1400)},
      {"at an odd offset", kSyn, nop + Mss(1461) + window_scale, nop + Mss(1400) + window_scale},
      {"behind the end", kSyn, end + nop + nop + nop + Mss(1460),
       end + nop + nop + nop + Mss(1460)},
      {"wrong length", kSyn, {2, 3, 5, 0xb4}, {2, 3, 5, 0xb4}},
      {"option of length 0", kSyn, Bytes{8, 0, 1, 1} + Mss(1460), Bytes{8, 0, 1, 1} + Mss(1460)},
      {"option past the end", kSyn, {1, 1, 2, 4}, {1, 1, 2, 4}},
      {"kind alone at the end", kSyn, {1, 1, 1, 2}, {1, 1, 1, 2}},
  };
  for (const ClampRow& row : rows) {
    const Bytes payload = slow::Payload(3);
    Bytes tcp = slow::MakeTcp(kClient4, kBackend4, row.flags, row.options, payload);
    const bool changed = ClampMss(tcp.data(), static_cast<uint32_t>(tcp.size()), 1400);
    EXPECT_EQ(tcp, slow::MakeTcp(kClient4, kBackend4, row.flags, row.expected, payload))
        << row.what;
    EXPECT_EQ(changed, row.options != row.expected) << row.what;
  }
}

TEST(Nat, ClampReadsNoFurtherThanTheContiguousBytes) {
  const Bytes tcp = slow::MakeTcp(kClient4, kBackend4, kSyn, Mss(1460), {});
  for (uint32_t length = 0; length < tcp.size(); ++length) {
    Bytes cut = slow::Slice(tcp, 0, length);
    cut.shrink_to_fit();
    EXPECT_FALSE(ClampMss(cut.data(), length, 1400));
    EXPECT_EQ(cut, slow::Slice(tcp, 0, length));
  }
}

TEST(Nat, MssLeavesSpaceForHeadersOfBothFamilies) {
  EXPECT_EQ(MssFor(1500, Family::kIpv4), 1460);
  EXPECT_EQ(MssFor(1500, Family::kIpv6), 1440);
  EXPECT_EQ(MssFor(40, Family::kIpv4), 0);
  EXPECT_EQ(MssFor(1 << 20, Family::kIpv4), 65535);
}

}  // namespace
}  // namespace fairlead
