#include "lib/net/parse.h"

#include <cstring>
#include <memory>
#include <ostream>
#include <random>
#include <tuple>

#include <gtest/gtest.h>

#include "tests/unit/net/frame_builder.h"
#include "tests/unit/net/parse_rows.h"

namespace fairlead {

std::ostream& operator<<(std::ostream& out, const ParsedPacket& packet) {
  return out << "kind " << int{static_cast<uint8_t>(packet.kind)} << ", defect "
             << DropReasonName(packet.defect) << ", protocol " << int{packet.l4_protocol}
             << ", flags " << int{packet.tcp_flags} << ", tags " << int{packet.vlan_count}
             << ", group " << packet.group_mac << ", fragment " << packet.is_fragment << ", later "
             << packet.later_fragment << ", payload " << packet.has_payload << ", AH "
             << packet.has_ah << ", l3 " << packet.l3_offset << ", l4 " << packet.l4_offset
             << ", length " << packet.l3_length;
}

bool operator==(const ParsedPacket& a, const ParsedPacket& b) {
  const auto fields = [](const ParsedPacket& p) {
    return std::tuple(p.kind, p.defect, p.l4_protocol, p.tcp_flags, p.vlan_count, p.group_mac,
                      p.is_fragment, p.later_fragment, p.has_payload, p.has_ah, p.l3_offset,
                      p.l4_offset, p.l3_length);
  };
  return fields(a) == fields(b);
}

namespace {

using testing::Address;
using testing::Bytes;
using testing::Ethernet;
using testing::Ipv4;
using testing::Ipv6;
using testing::ParseRow;
using testing::Tcp;
using testing::Udp;
using testing::operator+;  // NOLINT(misc-unused-using-decls): clang-tidy 14 sees no operators

struct Parsed {
  ParsedPacket packet;
  FlowKey key;
};

// Runs both parsers over a heap copy of the exact size, so that a sanitizer detects a read past the
// end. They must agree on every field and on the key.
Parsed Parse(const Bytes& frame, size_t linear_length) {
  const auto copy = std::make_unique<uint8_t[]>(linear_length);
  std::copy_n(frame.begin(), linear_length, copy.get());
  const auto linear = static_cast<uint32_t>(linear_length);
  const auto length = static_cast<uint32_t>(frame.size());
  Parsed fast;
  fast.packet.l4_protocol = 0xee;  // the parser must overwrite old values
  fast.packet.has_ah = true;
  Parsed plain;
  ParseFrame(copy.get(), linear, length, &fast.packet, &fast.key);
  ParseFramePlain(copy.get(), linear, length, &plain.packet, &plain.key);
  EXPECT_EQ(fast.packet, plain.packet);
  EXPECT_EQ(fast.key, plain.key) << fast.key.ToString() << " / " << plain.key.ToString();
  return fast;
}

Parsed Parse(const Bytes& frame) { return Parse(frame, frame.size()); }

class ParseRule : public ::testing::TestWithParam<ParseRow> {};

TEST_P(ParseRule, GivesTheExpectedResult) {
  const ParseRow& row = GetParam();
  const auto [packet, key] = Parse(row.frame);
  EXPECT_EQ(packet.kind, row.kind);
  EXPECT_EQ(DropReasonName(packet.defect), DropReasonName(row.defect));
  EXPECT_EQ(packet.l3_offset, row.l3_offset);
  EXPECT_EQ(packet.vlan_count, row.vlan_count);
  EXPECT_FALSE(packet.group_mac);
  if (packet.kind != FrameKind::kIpv4 && packet.kind != FrameKind::kIpv6) return;
  const bool v4 = packet.kind == FrameKind::kIpv4;
  EXPECT_EQ(key.destination(), Address(v4 ? testing::kFrontend4 : testing::kFrontend6));
  EXPECT_EQ(key.protocol(), packet.l4_protocol);
  if (row.defect != DropReason::kNone) {
    ParsedPacket bare;
    bare.kind = row.kind;
    bare.defect = row.defect;
    bare.l3_offset = row.l3_offset;
    EXPECT_EQ(packet, bare) << "fields behind the defect must have their defaults";
    EXPECT_EQ(key.source_port() | key.destination_port() | key.protocol(), 0);
    return;
  }
  EXPECT_EQ(packet.l4_protocol, row.protocol);
  EXPECT_EQ(packet.l4_offset, row.l4_offset);
}

INSTANTIATE_TEST_SUITE_P(Rows, ParseRule, ::testing::ValuesIn(testing::AllParseRows()),
                         [](const auto& row) { return row.param.name; });

TEST(ParseFrame, FillsTheKeyOfIpv4Tcp) {
  const auto [packet, key] = Parse(Ethernet(0x0800, Ipv4(Tcp({.flags = kTcpSyn}))));
  EXPECT_EQ(key, FlowKey::Make(Address(testing::kClient4), 40000, Address(testing::kFrontend4), 80,
                               kIpProtoTcp));
  EXPECT_EQ(packet.tcp_flags, kTcpSyn);
  EXPECT_EQ(packet.l3_length, 40);
  EXPECT_FALSE(packet.has_payload);
}

TEST(ParseFrame, FillsTheKeyOfIpv6Udp) {
  const auto [packet, key] = Parse(Ethernet(0x86dd, Ipv6(Udp({}, Bytes(1)), {.next_header = 17})));
  EXPECT_EQ(key, FlowKey::Make(Address(testing::kClient6), 40000, Address(testing::kFrontend6), 53,
                               kIpProtoUdp));
  EXPECT_EQ(packet.l3_length, 49);
  EXPECT_TRUE(packet.has_payload);
}

TEST(ParseFrame, KeyOfIcmpAndLaterFragmentsHasNoPorts) {
  const auto echo = Parse(Ethernet(0x0800, Ipv4(testing::Icmp4(8, 0, 1), {.protocol = 1})));
  EXPECT_EQ(echo.key,
            FlowKey::Make(Address(testing::kClient4), 0, Address(testing::kFrontend4), 0, 1));
  const auto later = Parse(Ethernet(0x0800, Ipv4(Bytes(64, 0xff), {.flags_fragment = 0x0010})));
  EXPECT_EQ(later.key,
            FlowKey::Make(Address(testing::kClient4), 0, Address(testing::kFrontend4), 0, 6));
}

TEST(ParseFrame, LeavesTheKeyUnchangedIfThereIsNoReadableIp) {
  const FlowKey before = FlowKey::Make(Address("10.0.0.1"), 1, Address("10.0.0.2"), 2, 6);
  for (const Bytes& frame : {Ethernet(0x0806, Bytes(28)), Ethernet(0x88cc, Bytes(50)),
                             Ethernet(0x0800, Bytes(19)), Bytes(5)}) {
    ParsedPacket packet;
    FlowKey key = before;
    ParseFrame(frame.data(), static_cast<uint32_t>(frame.size()),
               static_cast<uint32_t>(frame.size()), &packet, &key);
    EXPECT_EQ(key, before);
  }
}

TEST(ParseFrame, RecognisesGroupFrames) {
  for (const char* mac : {"ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"}) {
    EXPECT_TRUE(Parse(Ethernet(0x0800, Ipv4(Tcp()), {.destination = mac})).packet.group_mac);
    EXPECT_TRUE(Parse(Ethernet(0x86dd, Ipv6(Tcp()), {.destination = mac})).packet.group_mac);
    EXPECT_TRUE(Parse(Ethernet(0x88cc, Bytes(46), {.destination = mac})).packet.group_mac);
  }
}

TEST(ParseFrame, RecognisesPayload) {
  const auto v4 = [](const Bytes& l4, uint8_t protocol, uint32_t flags_fragment = 0) {
    return Parse(Ethernet(
                     0x0800,
                     Ipv4(l4, {.protocol = protocol, .flags_fragment = flags_fragment}) + Bytes(8)))
        .packet.has_payload;
  };
  EXPECT_FALSE(v4(Tcp({.options = Bytes(12)}), 6));
  EXPECT_TRUE(v4(Tcp({.options = Bytes(12)}, Bytes(1)), 6));
  EXPECT_FALSE(v4(Udp(), 17));
  EXPECT_TRUE(v4(Udp({}, Bytes(1)), 17));
  EXPECT_FALSE(v4(Udp({.length = 8}, Bytes(4)), 17))
      << "bytes behind the UDP length are no payload";
  EXPECT_FALSE(v4(testing::Icmp4(8, 0, 1), 1));
  EXPECT_TRUE(v4(testing::Icmp4(8, 0, 1, Bytes(1)), 1));
  EXPECT_FALSE(v4(Udp({.length = 100}), 17, 0x2000)) << "the first fragment has only the header";
  EXPECT_TRUE(v4(Udp({.length = 100}, Bytes(8)), 17, 0x2000));
  EXPECT_TRUE(v4(Bytes(1), 6, 0x0001));
  EXPECT_FALSE(v4({}, 6, 0x0001));
}

TEST(ParseFrame, RecognisesFragments) {
  const auto v6 = [](const Bytes& payload) {
    return Parse(Ethernet(0x86dd, Ipv6(payload, {.next_header = 44}))).packet;
  };
  const ParsedPacket whole = Parse(Ethernet(0x0800, Ipv4(Tcp()))).packet;
  EXPECT_FALSE(whole.is_fragment || whole.later_fragment);
  const ParsedPacket first =
      Parse(Ethernet(0x0800, Ipv4(Tcp({}, Bytes(4)), {.flags_fragment = 0x2000}))).packet;
  EXPECT_TRUE(first.is_fragment && !first.later_fragment);
  const ParsedPacket last =
      Parse(Ethernet(0x0800, Ipv4(Bytes(4), {.flags_fragment = 0x0001}))).packet;
  EXPECT_TRUE(last.is_fragment && last.later_fragment);
  const ParsedPacket atomic = v6(testing::FragmentHeader(6, 0, false) + Tcp());
  EXPECT_FALSE(atomic.is_fragment || atomic.later_fragment);
  const ParsedPacket first6 = v6(testing::FragmentHeader(6, 0, true) + Tcp());
  EXPECT_TRUE(first6.is_fragment && !first6.later_fragment);
  const ParsedPacket last6 = v6(testing::FragmentHeader(6, 8, false) + Bytes(4));
  EXPECT_TRUE(last6.is_fragment && last6.later_fragment);
}

TEST(ParseFrame, RecognisesAuthenticationHeaders) {
  EXPECT_TRUE(
      Parse(Ethernet(0x86dd, Ipv6(testing::AuthenticationHeader(6) + Tcp(), {.next_header = 51})))
          .packet.has_ah);
  EXPECT_FALSE(Parse(Ethernet(0x86dd, Ipv6(Tcp()))).packet.has_ah);
}

TEST(ParseFrame, NeedsOnlyHeadersToBeContiguous) {
  const Bytes frame = Ethernet(0x0800, Ipv4(Tcp({}, Bytes(1400))));
  const auto whole = Parse(frame);
  EXPECT_EQ(Parse(frame, 54).packet, whole.packet);
  EXPECT_EQ(Parse(frame, 54).key, whole.key);
}

// Cuts every valid row at every byte. The frame is unreadable until the destination is complete,
// and has a defect until the IP packet is complete.
TEST(ParseFrameCut, HasADefectUntilItsLastByte) {
  for (const ParseRow& row : testing::AllParseRows()) {
    if (row.defect != DropReason::kNone || row.frame.size() > 2000) continue;
    const bool ip = row.kind == FrameKind::kIpv4 || row.kind == FrameKind::kIpv6;
    const size_t readable = row.l3_offset + (row.kind == FrameKind::kIpv4   ? 20U
                                             : row.kind == FrameKind::kIpv6 ? 40U
                                                                            : 0U);
    const size_t end = ip ? row.l3_offset + Parse(row.frame).packet.l3_length
                          : row.l3_offset + (row.kind == FrameKind::kArp ? 28U : 0U);
    for (size_t length = 0; length <= row.frame.size(); ++length) {
      SCOPED_TRACE(row.name + " cut to " + std::to_string(length));
      const Bytes cut(row.frame.begin(), row.frame.begin() + static_cast<std::ptrdiff_t>(length));
      const ParsedPacket packet = Parse(cut).packet;
      EXPECT_EQ(packet.kind == FrameKind::kUnreadable, length < readable);
      EXPECT_EQ(packet.defect == DropReason::kNone, length >= end);
      if (length < readable) {
        EXPECT_EQ(packet.defect, DropReason::k_truncated);
      }
    }
  }
}

// The same with only the first bytes contiguous. The parser uses no other bytes, and
// kMaxHeaderBytes contiguous bytes are always enough.
TEST(ParseFrameCut, UsesOnlyContiguousBytes) {
  for (const ParseRow& row : testing::AllParseRows()) {
    const auto whole = Parse(row.frame);
    bool was_same = false;
    const size_t longest = std::min<size_t>(row.frame.size(), kMaxHeaderBytes + 10);
    for (size_t linear = 0; linear <= longest; ++linear) {
      SCOPED_TRACE(row.name + ", contiguous " + std::to_string(linear));
      const ParsedPacket packet = Parse(row.frame, linear).packet;
      const bool same = packet == whole.packet;
      EXPECT_TRUE(same || packet.defect == DropReason::k_truncated) << packet;
      EXPECT_TRUE(same || !was_same) << "with more contiguous bytes the parser found less";
      was_same = same;
    }
    EXPECT_TRUE(was_same) << row.name;
  }
}

// A small, repeatable fuzzer: random changes of known frames, often to values that rules compare
// with.
TEST(ParseFrameDifferential, AgreesWithThePlainParserOnMutatedFrames) {
  constexpr uint32_t kSeed = 20240614;
  std::mt19937 random(kSeed);
  const auto below = [&](size_t bound) { return static_cast<size_t>(random()) % bound; };
  const std::vector<ParseRow> rows = testing::AllParseRows();
  std::vector<Bytes> seeds;
  for (const ParseRow& row : rows) {
    if (row.frame.size() < 600) seeds.push_back(row.frame);
  }
  constexpr uint8_t kComparedValues[] = {0,  1,  2,  4,  5,  6,   7,    8,    17,   43,   44,  45,
                                         50, 51, 58, 59, 60, 127, 0x20, 0x40, 0x60, 0x81, 224, 255};
  size_t good = 0;
  constexpr int kRounds = 400000;
  for (int round = 0; round < kRounds; ++round) {
    Bytes frame = seeds[below(seeds.size())];
    for (size_t changes = below(4); changes > 0 && !frame.empty(); --changes) {
      const size_t at =
          below(2) == 0 ? below(frame.size()) : below(std::min<size_t>(frame.size(), 64));
      switch (below(4)) {
        case 0:
          frame[at] = kComparedValues[below(sizeof(kComparedValues))];
          break;
        case 1:
          frame[at] = static_cast<uint8_t>(frame[at] ^ (1U << below(8)));
          break;
        case 2:
          frame.resize(at);
          break;
        default:
          frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(at), below(9), uint8_t{0});
      }
    }
    const size_t linear = below(4) == 0 ? below(frame.size() + 1) : frame.size();
    const Parsed parsed = Parse(frame, linear);
    good += parsed.packet.defect == DropReason::kNone ? 1 : 0;
    if (::testing::Test::HasFailure()) FAIL() << "seed " << kSeed << ", round " << round;
  }
  std::printf("seed %u: %zu of %d mutated frames without a defect\n", kSeed, good, kRounds);
  EXPECT_GT(good, size_t{kRounds} / 10);
  EXPECT_LT(good, size_t{kRounds} * 9 / 10);
}

}  // namespace
}  // namespace fairlead
