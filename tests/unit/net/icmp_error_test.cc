#include "lib/net/icmp_error.h"

#include <cstdint>
#include <initializer_list>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

const Bytes kClient4 = {198, 51, 100, 7};
const Bytes kFrontend4 = {203, 0, 113, 10};
const Bytes kRouter4 = {192, 0, 2, 254};
const Bytes kClient6 = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
const Bytes kFrontend6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
const Bytes kRouter6 = {0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe};

// frontend:80 -> client:40000, as a backend's reply looks on the client's side.
Bytes Quoted4(uint8_t protocol = 6, const Bytes& options = {}, uint16_t flags_fragment = 0) {
  const slow::Ip4 ip{.source = kFrontend4,
                     .destination = kClient4,
                     .protocol = protocol,
                     .flags_fragment = flags_fragment,
                     .options = options};
  return slow::MakeIp4(
      ip, protocol == 6 ? slow::MakeTcp(kFrontend4, kClient4, 16, {}, slow::Payload(100), 80, 40000)
                        : slow::MakeUdp(kFrontend4, kClient4, slow::Payload(100), 80, 40000));
}
Bytes Quoted6(uint8_t next_header = 6, const Bytes& extensions = {}) {
  const slow::Ip6 ip{.source = kFrontend6, .destination = kClient6, .next_header = next_header};
  return slow::MakeIp6(
      ip, extensions + slow::MakeTcp(kFrontend6, kClient6, 16, {}, slow::Payload(100), 80, 40000));
}
Bytes Error4(const Bytes& quote, uint8_t type = 3, uint8_t code = 4, uint16_t flags_fragment = 0,
             const Bytes& options = {}) {
  const slow::Ip4 ip{.source = kRouter4,
                     .destination = kFrontend4,
                     .protocol = 1,
                     .flags_fragment = flags_fragment,
                     .options = options};
  return slow::Ethernet(0x0800) + slow::MakeIp4(ip, slow::MakeIcmp4(type, code, 1400, quote));
}
Bytes Error6(const Bytes& quote, uint8_t type = 2) {
  const slow::Ip6 ip{.source = kRouter6, .destination = kFrontend6, .next_header = 58};
  return slow::Ethernet(0x86dd) +
         slow::MakeIp6(ip, slow::MakeIcmp6(kRouter6, kFrontend6, type, 0, 1400, quote));
}

DropReason Read(const Bytes& frame, IcmpError* error) {
  // A buffer of the exact size, so that the sanitizers detect a read past the end.
  const Bytes exact(frame.begin(), frame.end());
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(exact.size());
  ParseFrame(exact.data(), length, length, &packet, &key);
  EXPECT_EQ(packet.defect, DropReason::kNone);
  return ReadIcmpError(exact.data(), length, packet, error);
}
std::string Reason(const Bytes& frame) {
  IcmpError error;
  return std::string(DropReasonName(Read(frame, &error)));
}

TEST(IcmpError, ReturnsTheClientsFlowForEverySupportedType) {
  for (const uint8_t type : std::initializer_list<uint8_t>{3, 11, 12}) {
    IcmpError error;
    ASSERT_EQ(Read(Error4(Quoted4(), type), &error), DropReason::kNone);
    EXPECT_EQ(error.key.ToString(), "tcp 198.51.100.7:40000 -> 203.0.113.10:80");
    EXPECT_EQ(error.protocol, 6);
    EXPECT_EQ(error.inner_l3_offset, 42);
    EXPECT_EQ(error.inner_l4_offset, 62);
    EXPECT_EQ(error.inner_l4_length, 120);
  }
  for (const uint8_t type : std::initializer_list<uint8_t>{1, 2, 3, 4}) {
    IcmpError error;
    ASSERT_EQ(Read(Error6(Quoted6(), type), &error), DropReason::kNone);
    EXPECT_EQ(error.key.ToString(), "tcp [2001:db8:1::7]:40000 -> [2001:db8::10]:80");
    EXPECT_EQ(error.inner_l3_offset, 62);
    EXPECT_EQ(error.inner_l4_offset, 102);
  }
}

TEST(IcmpError, TheKeyEqualsTheKeyOfTheFlowsOwnPackets) {
  const slow::Ip4 ip;
  const Bytes frame =
      slow::Ethernet(0x0800) + slow::MakeIp4(ip, slow::MakeUdp(ip.source, ip.destination, {}));
  ParsedPacket packet;
  FlowKey key;
  ParseFrame(frame.data(), static_cast<uint32_t>(frame.size()), static_cast<uint32_t>(frame.size()),
             &packet, &key);
  IcmpError error;
  ASSERT_EQ(Read(Error4(Quoted4(17)), &error), DropReason::kNone);
  EXPECT_TRUE(error.key == key);
}

TEST(IcmpError, OtherTypesAreUnsupported) {
  for (uint32_t type = 0; type < 256; ++type) {
    const bool passed4 = type == 3 || type == 11 || type == 12;
    EXPECT_EQ(Reason(Error4(Quoted4(), static_cast<uint8_t>(type))),
              passed4 ? "none" : "icmp_unsupported");
    const bool passed6 = type >= 1 && type <= 4;
    EXPECT_EQ(Reason(Error6(Quoted6(), static_cast<uint8_t>(type))),
              passed6 ? "none" : "icmp_unsupported");
  }
}

TEST(IcmpError, EightBytesOfL4AreEnoughAndSevenAreNot) {
  IcmpError error;
  EXPECT_EQ(Read(Error4(slow::Slice(Quoted4(), 0, 28)), &error), DropReason::kNone);
  EXPECT_EQ(error.inner_l4_length, 8);
  EXPECT_EQ(Read(Error6(slow::Slice(Quoted6(), 0, 48)), &error), DropReason::kNone);
  for (size_t length = 0; length < 28; ++length) {
    EXPECT_EQ(Reason(Error4(slow::Slice(Quoted4(), 0, length))), "bad_embedded") << length;
  }
  for (size_t length = 0; length < 48; ++length) {
    EXPECT_EQ(Reason(Error6(slow::Slice(Quoted6(), 0, length))), "bad_embedded") << length;
  }
}

TEST(IcmpError, SkipsQuotedOptions) {
  const Bytes options = {7, 7, 4, 0, 0, 0, 0, 0};
  IcmpError error;
  ASSERT_EQ(Read(Error4(slow::Slice(Quoted4(6, options), 0, 36)), &error), DropReason::kNone);
  EXPECT_EQ(error.inner_l4_offset, 70);
  EXPECT_EQ(error.key.ToString(), "tcp 198.51.100.7:40000 -> 203.0.113.10:80");
  EXPECT_EQ(Reason(Error4(slow::Slice(Quoted4(6, options), 0, 35))), "bad_embedded");
}

TEST(IcmpError, SkipsOuterOptions) {
  IcmpError error;
  ASSERT_EQ(Read(Error4(Quoted4(), 11, 0, 0, {1, 1, 1, 0}), &error), DropReason::kNone);
  EXPECT_EQ(error.inner_l3_offset, 46);
}

TEST(IcmpError, SkipsQuotedExtensionHeaders) {
  const Bytes hop_by_hop = {60, 0, 1, 4, 0, 0, 0, 0};
  const Bytes destination = {43, 0, 1, 4, 0, 0, 0, 0};
  const Bytes routing = {44, 0, 0, 0, 0, 0, 0, 0};
  const Bytes first_fragment = {51, 0, 0, 1, 1, 2, 3, 4};
  const Bytes ah = {6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
  const Bytes chain = hop_by_hop + destination + routing + first_fragment + ah;
  IcmpError error;
  ASSERT_EQ(Read(Error6(Quoted6(0, chain)), &error), DropReason::kNone);
  EXPECT_EQ(error.inner_l4_offset, 102 + chain.size());
  EXPECT_EQ(error.key.ToString(), "tcp [2001:db8:1::7]:40000 -> [2001:db8::10]:80");
}

TEST(IcmpError, DropsInvalidQuotedExtensionHeaders) {
  const Bytes later = {6, 0, 0, 8, 1, 2, 3, 4};
  EXPECT_EQ(Reason(Error6(Quoted6(44, later))), "bad_embedded");
  const Bytes routing = {6, 0, 0, 1, 0, 0, 0, 0};  // one segment left
  EXPECT_EQ(Reason(Error6(Quoted6(43, routing))), "bad_embedded");
  const Bytes late_hop_by_hop = {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0};
  EXPECT_EQ(Reason(Error6(Quoted6(60, late_hop_by_hop))), "bad_embedded");
  Bytes nine;
  for (int i = 0; i < 9; ++i) nine = nine + Bytes{60, 0, 1, 4, 0, 0, 0, 0};
  nine[64] = 6;
  EXPECT_EQ(Reason(Error6(Quoted6(60, nine))), "bad_embedded");
  Bytes eight = slow::Slice(nine, 8, 64);
  EXPECT_EQ(Reason(Error6(Quoted6(60, eight))), "none");
  Bytes too_long(264);
  too_long[0] = 6;
  too_long[1] = 32;
  EXPECT_EQ(Reason(Error6(Quoted6(60, too_long))), "bad_embedded");
  const Bytes past_the_end = {6, 200, 1, 4, 0, 0, 0, 0};
  EXPECT_EQ(Reason(Error6(slow::Slice(Quoted6(60, past_the_end), 0, 80))), "bad_embedded");
}

TEST(IcmpError, DropsAQuotedLaterFragment) {
  EXPECT_EQ(Reason(Error4(Quoted4(6, {}, 1))), "bad_embedded");
  EXPECT_EQ(Reason(Error4(Quoted4(6, {}, 0x2000))), "none");  // a first fragment
}

TEST(IcmpError, DropsABadChecksumOfTheMessageOrTheQuotedHeader) {
  Bytes outside = Error4(Quoted4());
  outside[36] ^= 1;
  EXPECT_EQ(Reason(outside), "bad_icmp");
  Bytes outside6 = Error6(Quoted6());
  outside6[56] ^= 1;
  EXPECT_EQ(Reason(outside6), "bad_icmp");
  Bytes quote = Quoted4();
  quote[10] ^= 1;
  EXPECT_EQ(Reason(Error4(quote)), "bad_embedded");
}

TEST(IcmpError, DropsInvalidQuotedHeaders) {
  Bytes version = Quoted4();
  version[0] = 0x65;
  EXPECT_EQ(Reason(Error4(version)), "bad_embedded");
  Bytes short_header = Quoted4();
  short_header[0] = 0x44;
  EXPECT_EQ(Reason(Error4(short_header)), "bad_embedded");
  Bytes long_header = Quoted4();
  long_header[0] = 0x4f;
  EXPECT_EQ(Reason(Error4(slow::Slice(long_header, 0, 40))), "bad_embedded");
  Bytes total = slow::MakeIp4({.source = kFrontend4, .destination = kClient4}, Bytes(7));
  EXPECT_EQ(Reason(Error4(total + Bytes(20))), "bad_embedded");
  Bytes version6 = Quoted6();
  version6[0] = 0x45;
  EXPECT_EQ(Reason(Error6(version6)), "bad_embedded");
  Bytes jumbo = Quoted6();
  slow::Put16(&jumbo, 4, 0);
  EXPECT_EQ(Reason(Error6(jumbo)), "bad_embedded");
}

TEST(IcmpError, DropsAQuoteThatTheFrontendDidNotSend) {
  const slow::Ip4 other{.source = kRouter4, .destination = kClient4, .protocol = 6};
  EXPECT_EQ(Reason(Error4(slow::MakeIp4(other, Bytes(20)))), "bad_embedded");
  const slow::Ip6 other6{.source = kRouter6, .destination = kClient6, .next_header = 6};
  EXPECT_EQ(Reason(Error6(slow::MakeIp6(other6, Bytes(20)))), "bad_embedded");
}

TEST(IcmpError, DropsAQuotedPortOfZero) {
  for (const size_t at : {20U, 22U}) {
    Bytes quote = Quoted4();
    slow::Put16(&quote, at, 0);
    EXPECT_EQ(Reason(Error4(quote)), "bad_embedded");
  }
}

TEST(IcmpError, QuotedIcmpIsUnsupported) {
  const slow::Ip4 echo{.source = kFrontend4, .destination = kClient4, .protocol = 1};
  EXPECT_EQ(Reason(Error4(slow::MakeIp4(echo, slow::MakeIcmp4(0, 0, 1, {})))), "icmp_unsupported");
}

TEST(IcmpError, DropsAFragmentedError) {
  EXPECT_EQ(Reason(Error4(Quoted4(), 3, 4, 0x2000)), "fragment");
}

TEST(IcmpError, DoesNotCountRfc4884PaddingAsQuotedL4) {
  const slow::Ip4 ip{.source = kFrontend4, .destination = kClient4};
  const Bytes quote = slow::MakeIp4(ip, slow::MakeUdp(kFrontend4, kClient4, {1}, 80, 40000));
  IcmpError error;
  ASSERT_EQ(Read(Error4(quote + Bytes(99)), &error), DropReason::kNone);  // RFC 4884 padding
  EXPECT_EQ(error.inner_l4_length, 9);
}

TEST(IcmpError, NeedsTheMessageContiguous) {
  const Bytes frame = Error4(Quoted4());
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  IcmpError error;
  EXPECT_EQ(ReadIcmpError(frame.data(), length - 1, packet, &error), DropReason::k_bad_icmp);
}

}  // namespace
}  // namespace fairlead
