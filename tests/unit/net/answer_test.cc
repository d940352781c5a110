#include "lib/net/answer.h"

#include <optional>

#include <gtest/gtest.h>

#include "lib/net/headers.h"
#include "tests/unit/net/frame_builder.h"

namespace fairlead {
namespace {

using testing::Address;
using testing::Bytes;
using testing::Ethernet;
using testing::Icmp4;
using testing::Icmp6;
using testing::Ipv4;
using testing::Ipv6;
using testing::kClient4;
using testing::kClient6;
using testing::kClientMac;
using testing::kFrontend4;
using testing::kFrontend6;
using testing::kPortMac;
using testing::Mac;
using testing::operator+;  // NOLINT(misc-unused-using-decls): clang-tidy 14 sees no operators

constexpr char kSolicitedNode[] = "ff02::1:ff00:10";  // of kFrontend6
constexpr char kSolicitedNodeMac[] = "33:33:ff:00:00:10";

ParsedPacket Parse(const Bytes& frame) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  return packet;
}

Bytes MacBytes(std::string_view text) {
  const MacAddress mac = Mac(text);
  return {mac.bytes.begin(), mac.bytes.end()};
}

Bytes AddressBytes(std::string_view text) {
  const IpAddress address = Address(text);
  return {address.wire().begin(), address.wire().end()};
}

struct ArpFields {
  uint8_t operation = 1;
  std::string_view sender_mac = kClientMac;
  std::string_view sender = kClient4;
  std::string_view target_mac = "00:00:00:00:00:00";
  std::string_view target = kFrontend4;
};

Bytes Arp(const ArpFields& fields) {
  return Bytes{0, 1, 8, 0, 6, 4, 0, fields.operation} + MacBytes(fields.sender_mac) +
         AddressBytes(fields.sender) + MacBytes(fields.target_mac) + AddressBytes(fields.target);
}

Bytes ArpFrame(const ArpFields& fields, const std::vector<uint32_t>& tags = {}) {
  return Ethernet(0x0806, Arp(fields), {.destination = "ff:ff:ff:ff:ff:ff", .tags = tags});
}

NeighbourView ReadArp(const Bytes& frame) {
  return fairlead::ReadArp(frame.data(), static_cast<uint32_t>(frame.size()), Parse(frame));
}

TEST(ReadArp, ReadsTheTargetAndTheSenderOfARequest) {
  const NeighbourView view = ReadArp(ArpFrame({}));
  EXPECT_EQ(view.kind, NeighbourKind::kRequest);
  EXPECT_TRUE(view.has_target);
  EXPECT_EQ(view.target, Address(kFrontend4));
  EXPECT_EQ(view.sender, Address(kClient4));
}

TEST(ReadArp, ReadsAProbeWithoutSenderAddressAsARequest) {  // RFC 5227, 2.1.1
  const NeighbourView view = ReadArp(ArpFrame({.sender = "0.0.0.0"}));
  EXPECT_EQ(view.kind, NeighbourKind::kRequest);
  EXPECT_EQ(view.target, Address(kFrontend4));
  EXPECT_EQ(view.sender, IpAddress());
}

TEST(ReadArp, ReadsRepliesAndGratuitousRequestsAsAnnouncements) {
  const NeighbourView reply =
      ReadArp(ArpFrame({.operation = 2, .sender = kFrontend4, .target = kClient4}));
  EXPECT_EQ(reply.kind, NeighbourKind::kAnnouncement);
  EXPECT_EQ(reply.target, Address(kFrontend4));
  const NeighbourView gratuitous = ReadArp(ArpFrame({.sender = kFrontend4, .target = kFrontend4}));
  EXPECT_EQ(gratuitous.kind, NeighbourKind::kAnnouncement);
  EXPECT_EQ(gratuitous.target, Address(kFrontend4));
}

TEST(ReadArp, IgnoresOtherOperations) {
  for (const uint8_t operation : {uint8_t{0}, uint8_t{3}, uint8_t{8}, uint8_t{255}}) {
    EXPECT_EQ(ReadArp(ArpFrame({.operation = operation})).kind, NeighbourKind::kNone);
  }
}

TEST(ReadArp, GivesTheTargetOfAMalformedMessageIfItCanBeRead) {
  const auto changed = [](size_t offset, uint8_t value) {
    Bytes frame = ArpFrame({});
    frame[14 + offset] = value;
    return ReadArp(frame);
  };
  for (const NeighbourView& view :
       {changed(1, 6), changed(2, 0x86), ReadArp(ArpFrame({.sender_mac = "ff:ff:ff:ff:ff:ff"})),
        ReadArp(ArpFrame({.sender = "127.0.0.1"})), ReadArp(ArpFrame({.sender = "224.0.0.1"}))}) {
    EXPECT_EQ(view.kind, NeighbourKind::kMalformed);
    EXPECT_TRUE(view.has_target);
    EXPECT_EQ(view.target, Address(kFrontend4));
  }
  for (const NeighbourView& view : {changed(4, 8), changed(5, 16)}) {  // lengths of addresses
    EXPECT_EQ(view.kind, NeighbourKind::kMalformed);
    EXPECT_FALSE(view.has_target);
  }
}

TEST(ReadArp, AMessageCutAtAnyByteIsMalformed) {
  const Bytes whole = ArpFrame({});
  for (size_t length = 14; length < 42; ++length) {
    const NeighbourView view =
        ReadArp(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
    EXPECT_EQ(view.kind, NeighbourKind::kMalformed);
    EXPECT_FALSE(view.has_target);
  }
}

TEST(MakeArpReply, AnswersThatThePortHasTheTarget) {
  for (const std::vector<uint32_t>& tags :
       {std::vector<uint32_t>{}, {0x81000064}, {0x88a80064, 0x81000065}}) {
    Bytes frame = ArpFrame({}, tags) + Bytes(18);  // padded to Ethernet's minimum
    const uint32_t length = MakeArpReply(frame.data(), static_cast<uint32_t>(frame.size()),
                                         Parse(frame), Mac(kPortMac));
    frame.resize(length);
    EXPECT_EQ(frame, Ethernet(0x0806,
                              Arp({.operation = 2,
                                   .sender_mac = kPortMac,
                                   .sender = kFrontend4,
                                   .target_mac = kClientMac,
                                   .target = kClient4}),
                              {.destination = kClientMac, .source = kPortMac, .tags = tags}));
  }
}

struct SolicitationFields {
  uint8_t type = 135;
  uint8_t code = 0;
  uint8_t hop_limit = 255;
  uint32_t rest = 0;
  std::string_view source = kClient6;
  std::string_view destination = kSolicitedNode;
  std::string_view target = kFrontend6;
  std::optional<Bytes> options = {};  // source link-layer address unless given
};

Bytes NeighbourFrame(const SolicitationFields& fields, const std::vector<uint32_t>& tags = {}) {
  const Bytes options = fields.options.value_or(Bytes{1, 1} + MacBytes(kClientMac));
  const Bytes icmp =
      Icmp6(fields.type, fields.code, fields.rest, AddressBytes(fields.target) + options,
            fields.source, fields.destination);
  return Ethernet(0x86dd,
                  Ipv6(icmp, {.next_header = 58,
                              .source = fields.source,
                              .destination = fields.destination,
                              .hop_limit = fields.hop_limit}),
                  {.destination = kSolicitedNodeMac, .tags = tags});
}

NeighbourView ReadNeighbour(const Bytes& frame) {
  return fairlead::ReadNeighbour(frame.data(), static_cast<uint32_t>(frame.size()), Parse(frame));
}

TEST(ReadNeighbour, ReadsASolicitation) {
  const NeighbourView view = ReadNeighbour(NeighbourFrame({}));
  EXPECT_EQ(view.kind, NeighbourKind::kRequest);
  EXPECT_EQ(view.target, Address(kFrontend6));
  EXPECT_EQ(view.sender, Address(kClient6));
}

TEST(ReadNeighbour, ReadsAUnicastSolicitation) {  // reachability, RFC 4861, 7.3.1
  EXPECT_EQ(ReadNeighbour(NeighbourFrame({.destination = kFrontend6, .options = Bytes{}})).kind,
            NeighbourKind::kRequest);
}

TEST(ReadNeighbour, ReadsDuplicateAddressDetection) {
  const NeighbourView view =
      ReadNeighbour(NeighbourFrame({.source = "::", .options = Bytes{14, 1, 1, 2, 3, 4, 5, 6}}));
  EXPECT_EQ(view.kind, NeighbourKind::kRequest);
  EXPECT_EQ(view.sender, Address("::"));
}

TEST(ReadNeighbour, ReadsAnAdvertisementAsAnAnnouncement) {
  const Bytes target_mac = Bytes{2, 1} + MacBytes(kClientMac);
  EXPECT_EQ(
      ReadNeighbour(
          NeighbourFrame(
              {.type = 136, .rest = 0x60000000, .destination = kFrontend6, .options = target_mac}))
          .kind,
      NeighbourKind::kAnnouncement);
  const NeighbourView unsolicited = ReadNeighbour(NeighbourFrame(
      {.type = 136, .rest = 0x20000000, .destination = "ff02::1", .options = target_mac}));
  EXPECT_EQ(unsolicited.kind, NeighbourKind::kAnnouncement);
  EXPECT_EQ(unsolicited.target, Address(kFrontend6));
}

TEST(ReadNeighbour, IgnoresOtherMessages) {
  for (const uint8_t type : {uint8_t{1}, uint8_t{128}, uint8_t{133}, uint8_t{134}, uint8_t{137}}) {
    EXPECT_EQ(ReadNeighbour(NeighbourFrame({.type = type})).kind, NeighbourKind::kNone);
  }
}

TEST(ReadNeighbour, RefusesWhatRfc4861RefusesButGivesTheTarget) {
  const SolicitationFields rows[] = {
      {.hop_limit = 254},
      {.code = 1},
      {.options = Bytes{1, 0, 0, 0, 0, 0, 0, 0}},                          // option of length zero
      {.options = Bytes{1, 2, 0, 0, 0, 0, 0, 0}},                          // option past the end
      {.options = Bytes{1}},                                               // option cut
      {.options = Bytes{1, 1, 2, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0}},  // the second is bad
      {.source = "::"},                                                    // with source MAC
      {.source = "::", .destination = kFrontend6, .options = Bytes{}},
      {.source = "::", .destination = "ff02::1", .options = Bytes{}},
      {.type = 136, .rest = 0x40000000, .destination = "ff02::1"},  // solicited, to all
      {.type = 136, .hop_limit = 64, .destination = kFrontend6},
      {.type = 136, .code = 3, .destination = kFrontend6},
  };
  for (size_t i = 0; i < std::size(rows); ++i) {
    const NeighbourView view = ReadNeighbour(NeighbourFrame(rows[i]));
    EXPECT_EQ(view.kind, NeighbourKind::kMalformed) << "row " << i;
    EXPECT_TRUE(view.has_target && view.target == Address(kFrontend6)) << "row " << i;
  }
  EXPECT_EQ(ReadNeighbour(NeighbourFrame({.target = "ff02::2"})).kind, NeighbourKind::kMalformed);
}

TEST(ReadNeighbour, RefusesAMessageWithAnyBitFlipped) {
  const Bytes good = NeighbourFrame({});
  for (size_t bit = 54 * 8 + 16; bit < good.size() * 8; ++bit) {  // type and code stay
    Bytes frame = good;
    frame[bit / 8] = static_cast<uint8_t>(frame[bit / 8] ^ (0x80U >> bit % 8));
    ASSERT_EQ(ReadNeighbour(frame).kind, NeighbourKind::kMalformed) << "bit " << bit;
  }
}

TEST(ReadNeighbour, AMessageCutAtAnyByteIsMalformedWithoutTarget) {
  for (size_t left = 0; left < 16; ++left) {  // bytes of the target; the checksum is right
    const Bytes icmp = Icmp6(135, 0, 0, Bytes(left), kClient6, kSolicitedNode);
    const NeighbourView view = ReadNeighbour(Ethernet(
        0x86dd, Ipv6(icmp, {.next_header = 58, .destination = kSolicitedNode, .hop_limit = 255})));
    EXPECT_EQ(view.kind, NeighbourKind::kMalformed);
    EXPECT_FALSE(view.has_target);
  }
  const Bytes whole = NeighbourFrame({});
  const ParsedPacket packet = Parse(whole);
  for (uint32_t length = 62; length < whole.size(); ++length) {  // contiguous bytes
    EXPECT_FALSE(fairlead::ReadNeighbour(whole.data(), length, packet).has_target);
  }
}

TEST(ReadNeighbour, RefusesFragments) {  // RFC 6980
  const Bytes icmp = Icmp6(135, 0, 0, AddressBytes(kFrontend6), kClient6, kSolicitedNode);
  const auto view = [&](uint32_t offset, bool more) {
    return ReadNeighbour(Ethernet(
        0x86dd, Ipv6(testing::FragmentHeader(58, offset, more) + icmp,
                     {.next_header = 44, .destination = kSolicitedNode, .hop_limit = 255})));
  };
  EXPECT_EQ(view(0, true).kind, NeighbourKind::kMalformed);
  EXPECT_EQ(view(8, false).kind, NeighbourKind::kNone) << "a later fragment has no ICMP header";
}

// The expected advertisement, built independently.
Bytes Advertisement(std::string_view to, uint32_t flags, std::string_view to_mac,
                    const std::vector<uint32_t>& tags) {
  const Bytes options = Bytes{2, 1} + MacBytes(kPortMac);
  return Ethernet(
      0x86dd,
      Ipv6(Icmp6(136, 0, flags, AddressBytes(kFrontend6) + options, kFrontend6, to),
           {.next_header = 58, .source = kFrontend6, .destination = to, .hop_limit = 255}),
      {.destination = to_mac, .source = kPortMac, .tags = tags});
}

Bytes Answer(Bytes frame) {
  const ParsedPacket packet = Parse(frame);
  const auto length = static_cast<uint32_t>(frame.size());
  frame.resize(frame.size() + 8);
  frame.resize(MakeNeighbourAdvertisement(frame.data(), length, static_cast<uint32_t>(frame.size()),
                                          packet, Mac(kPortMac)));
  return frame;
}

TEST(MakeNeighbourAdvertisement, AnswersTheSenderWithSolicitedAndOverrideSet) {
  const std::vector<uint32_t> no_tags;
  EXPECT_EQ(Answer(NeighbourFrame({})), Advertisement(kClient6, 0x60000000, kClientMac, no_tags));
  EXPECT_EQ(Answer(NeighbourFrame({.options = Bytes{}})),
            Advertisement(kClient6, 0x60000000, kClientMac, no_tags))
      << "the advertisement is eight bytes longer than the solicitation";
  EXPECT_EQ(Answer(NeighbourFrame({.options = Bytes{14, 3} + Bytes(22)})),
            Advertisement(kClient6, 0x60000000, kClientMac, no_tags));
}

TEST(MakeNeighbourAdvertisement, KeepsVlanTags) {
  const std::vector<uint32_t> tags = {0x88a80064, 0x81000065};
  EXPECT_EQ(Answer(NeighbourFrame({}, tags)),
            Advertisement(kClient6, 0x60000000, kClientMac, tags));
}

TEST(MakeNeighbourAdvertisement, AnswersDuplicateAddressDetectionToAllNodes) {  // RFC 4861, 7.2.4
  EXPECT_EQ(Answer(NeighbourFrame({.source = "::", .options = Bytes{}})),
            Advertisement("ff02::1", 0x20000000, "33:33:00:00:00:01", {}));
}

TEST(MakeNeighbourAdvertisement, OmitsExtensionHeaders) {
  const Bytes icmp = Icmp6(135, 0, 0, AddressBytes(kFrontend6), kClient6, kSolicitedNode);
  const Bytes frame =
      Ethernet(0x86dd, Ipv6(testing::Extension(58, 1) + icmp,
                            {.next_header = 60, .destination = kSolicitedNode, .hop_limit = 255}));
  ASSERT_EQ(ReadNeighbour(frame).kind, NeighbourKind::kRequest);
  EXPECT_EQ(Answer(frame), Advertisement(kClient6, 0x60000000, kClientMac, {}));
}

bool IsEchoRequest(const Bytes& frame) {
  return fairlead::IsEchoRequest(frame.data(), static_cast<uint32_t>(frame.size()), Parse(frame));
}

Bytes Echo4(const testing::Ipv4Fields& fields = {.protocol = 1}, size_t payload = 56) {
  return Ethernet(0x0800, Ipv4(Icmp4(8, 0, 0x00070001, Bytes(payload, 0xa5)), fields));
}

Bytes Echo6(const testing::Ipv6Fields& fields = {.next_header = 58}) {
  return Ethernet(0x86dd, Ipv6(Icmp6(128, 0, 0x00070001, Bytes(56, 0xa5)), fields));
}

TEST(IsEchoRequest, AcceptsWholeEchoRequests) {
  EXPECT_TRUE(IsEchoRequest(Echo4()));
  EXPECT_TRUE(IsEchoRequest(Echo4({.protocol = 1}, 0)));
  EXPECT_TRUE(IsEchoRequest(Echo4({.protocol = 1}, 1))) << "an odd length is summed with padding";
  EXPECT_TRUE(IsEchoRequest(Echo4({.protocol = 1, .options = Bytes(8, 1)})));
  EXPECT_TRUE(IsEchoRequest(Echo6()));
}

TEST(IsEchoRequest, RefusesFragmentsOtherTypesAndOtherCodes) {
  EXPECT_FALSE(IsEchoRequest(Echo4({.protocol = 1, .flags_fragment = 0x2000})));
  EXPECT_FALSE(IsEchoRequest(Echo4({.protocol = 1, .flags_fragment = 0x0001})));
  EXPECT_FALSE(IsEchoRequest(Ethernet(0x0800, Ipv4(Icmp4(8, 1, 7), {.protocol = 1}))));
  EXPECT_FALSE(IsEchoRequest(Ethernet(0x0800, Ipv4(Icmp4(0, 0, 7), {.protocol = 1}))));
  EXPECT_FALSE(IsEchoRequest(Ethernet(0x0800, Ipv4(Icmp4(128, 0, 7), {.protocol = 1}))));
  EXPECT_FALSE(IsEchoRequest(Ethernet(0x86dd, Ipv6(Icmp6(128, 1, 7), {.next_header = 58}))));
  EXPECT_FALSE(IsEchoRequest(Ethernet(0x86dd, Ipv6(Icmp6(8, 0, 7), {.next_header = 58}))));
  EXPECT_FALSE(IsEchoRequest(Ethernet(
      0x86dd, Ipv6(testing::FragmentHeader(58, 0, true) + Icmp6(128, 0, 7), {.next_header = 44}))));
}

TEST(IsEchoRequest, RefusesOtherPackets) {
  EXPECT_FALSE(IsEchoRequest(Ethernet(0x0800, Ipv4(testing::Tcp()))));
  EXPECT_FALSE(IsEchoRequest(ArpFrame({})));
  EXPECT_FALSE(IsEchoRequest(Echo4({.protocol = 1, .source = "127.0.0.1"})));
}

TEST(IsEchoRequest, RefusesARequestWithAnyBitFlipped) {
  for (const auto& [good, first] :
       {std::pair(Echo4(), size_t{34}), std::pair(Echo6(), size_t{54})}) {
    for (size_t bit = first * 8; bit < good.size() * 8; ++bit) {
      Bytes frame = good;
      frame[bit / 8] = static_cast<uint8_t>(frame[bit / 8] ^ (0x80U >> bit % 8));
      ASSERT_FALSE(IsEchoRequest(frame)) << "bit " << bit;
    }
  }
  Bytes bad_header = Echo4();
  bad_header[14 + 10] ^= 1;
  EXPECT_FALSE(IsEchoRequest(bad_header));
}

TEST(IsEchoRequest, NeedsAllBytesContiguous) {
  const Bytes frame = Echo4();
  const ParsedPacket packet = Parse(frame);
  for (uint32_t length = 42; length < frame.size(); ++length) {
    EXPECT_FALSE(fairlead::IsEchoRequest(frame.data(), length, packet));
  }
}

Bytes Reply(Bytes frame) {
  const ParsedPacket packet = Parse(frame);
  const auto length = static_cast<uint32_t>(frame.size());
  const uint32_t reply = MakeEchoReply(frame.data(), length, packet, Mac(kPortMac));
  EXPECT_LE(reply, length);
  frame.resize(reply);
  return frame;
}

Bytes Reply4(testing::Ipv4Fields fields, size_t payload = 56,
             const std::vector<uint32_t>& tags = {}) {
  fields.protocol = 1;
  fields.source = kFrontend4;
  fields.destination = kClient4;
  return Ethernet(0x0800, Ipv4(Icmp4(0, 0, 0x00070001, Bytes(payload, 0xa5)), fields),
                  {.destination = kClientMac, .source = kPortMac, .tags = tags});
}

TEST(MakeEchoReply, MakesAnIpv4Reply) {
  EXPECT_EQ(Reply(Echo4()), Reply4({}));
  EXPECT_EQ(Reply(Echo4({.protocol = 1}, 1)), Reply4({}, 1));
  EXPECT_EQ(Reply(Echo4({.protocol = 1, .tos = 0xb8, .ttl = 3, .id = 9, .flags_fragment = 0})),
            Reply4({.tos = 0xb8, .ttl = 64, .id = 9, .flags_fragment = 0}));
  EXPECT_EQ(Reply(Echo4({.protocol = 1, .flags_fragment = 0xc000})),
            Reply4({.flags_fragment = 0x4000}))
      << "the reserved bit is not copied";
}

// If all bytes are zero, the sum is 0 and the checksum is its complement, 0xffff. Receivers refuse
// 0x0000. With 0xffff in the data, the checksum is 0x0000.
TEST(MakeEchoReply, HasTheRightChecksumIfAllBytesAreZero) {
  const auto echo = [](uint8_t type, const Bytes& data) { return Icmp4(type, 0, 0, data); };
  for (const Bytes& data : {Bytes(), Bytes(1, 0), Bytes(56, 0), Bytes{0, 0, 0xff, 0xff}}) {
    const Bytes reply = Reply(Ethernet(0x0800, Ipv4(echo(8, data), {.protocol = 1})));
    const Bytes icmp(reply.end() - static_cast<std::ptrdiff_t>(8 + data.size()), reply.end());
    EXPECT_EQ(icmp, echo(0, data)) << data.size();
  }
}

TEST(MakeEchoReply, CopiesNoOptions) {
  EXPECT_EQ(Reply(Echo4({.protocol = 1, .options = Bytes(40, 1)})), Reply4({}));
  EXPECT_EQ(Reply(Echo4({.protocol = 1, .options = Bytes(4, 0)}, 0)), Reply4({}, 0));
}

TEST(MakeEchoReply, TrimsPaddingAndKeepsTags) {
  const Bytes ip = Ipv4(Icmp4(8, 0, 0x00070001, Bytes(2, 0xa5)), {.protocol = 1});
  const std::vector<uint32_t> tags = {0x81000064};
  EXPECT_EQ(Reply(Ethernet(0x0800, ip + Bytes(12, 0xee), {.tags = tags})), Reply4({}, 2, tags));
}

TEST(MakeEchoReply, MakesAnIpv6Reply) {
  const Bytes icmp = Icmp6(129, 0, 0x00070001, Bytes(56, 0xa5), kFrontend6, kClient6);
  const testing::EthernetFields ethernet = {.destination = kClientMac, .source = kPortMac};
  testing::Ipv6Fields ip = {.next_header = 58, .source = kFrontend6, .destination = kClient6};
  EXPECT_EQ(Reply(Echo6()), Ethernet(0x86dd, Ipv6(icmp, ip), ethernet));
  ip.version_class_flow = 0x6b800000;
  EXPECT_EQ(Reply(Echo6({.next_header = 58, .hop_limit = 7, .version_class_flow = 0x6b812345})),
            Ethernet(0x86dd, Ipv6(icmp, ip), ethernet))
      << "the traffic class is kept, the flow label is not";
}

TEST(MakeEchoReply, CopiesNoExtensionHeaders) {
  const Bytes request = Ethernet(
      0x86dd, Ipv6(testing::Extension(58, 2) + Icmp6(128, 0, 1, Bytes(3, 1)), {.next_header = 60}));
  ASSERT_TRUE(IsEchoRequest(request));
  EXPECT_EQ(Reply(request),
            Ethernet(0x86dd,
                     Ipv6(Icmp6(129, 0, 1, Bytes(3, 1), kFrontend6, kClient6),
                          {.next_header = 58, .source = kFrontend6, .destination = kClient6}),
                     {.destination = kClientMac, .source = kPortMac}));
}

}  // namespace
}  // namespace fairlead
