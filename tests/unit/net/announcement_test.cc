#include "lib/net/announcement.h"

#include <gtest/gtest.h>

#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

const MacAddress kMac = {{2, 0, 0, 0x11, 0x22, 0x33}};
const Bytes kMacBytes = {2, 0, 0, 0x11, 0x22, 0x33};
const Bytes kFrontend6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 0xef, 0x10};

Bytes Made(uint32_t (*make)(const IpAddress&, const MacAddress&, uint16_t, uint8_t*),
           const char* address, uint16_t vlan = kUntagged) {
  Bytes frame(kMaxAnnouncementFrame);
  frame.resize(make(IpAddress::Parse(address).value(), kMac, vlan, frame.data()));
  return frame;
}

// The checksum is right when the sum over pseudo header and message is all ones.
void ExpectRightSum(const Bytes& frame, size_t icmp_at) {
  EXPECT_EQ(slow::L4Sum(slow::Slice(frame, 22, 16), slow::Slice(frame, 38, 16), 58,
                        slow::Slice(frame, icmp_at, frame.size() - icmp_at)),
            0xffff);
}

TEST(Announcement, Ipv4IsAGratuitousArpRequest) {
  const Bytes frontend = {203, 0, 113, 10};
  EXPECT_EQ(Made(MakeAnnouncement, "203.0.113.10"),
            (Bytes(6, 0xff) + kMacBytes + Bytes{8, 6, 0, 1, 8, 0, 6, 4, 0, 1} + kMacBytes +
             frontend + Bytes(6, 0) + frontend));
}

TEST(Announcement, Ipv6IsAnUnsolicitedAdvertisementToAllNodes) {
  const Bytes frame = Made(MakeAnnouncement, "2001:db8::abcd:ef10");
  ASSERT_EQ(frame.size(), 86U);
  EXPECT_EQ(slow::Slice(frame, 0, 14),
            (Bytes{0x33, 0x33, 0, 0, 0, 1} + kMacBytes + Bytes{0x86, 0xdd}));
  EXPECT_EQ(slow::Slice(frame, 14, 8), (Bytes{0x60, 0, 0, 0, 0, 32, 58, 255}));
  EXPECT_EQ(slow::Slice(frame, 22, 16), kFrontend6);
  EXPECT_EQ(slow::Slice(frame, 38, 16), (Bytes{0xff, 2} + Bytes(13, 0) + Bytes{1}));
  EXPECT_EQ(slow::Slice(frame, 54, 2), (Bytes{136, 0}));
  EXPECT_EQ(slow::Slice(frame, 58, 4), (Bytes{0x20, 0, 0, 0})) << "override, not solicited";
  EXPECT_EQ(slow::Slice(frame, 62, 24), (kFrontend6 + Bytes{2, 1} + kMacBytes));
  ExpectRightSum(frame, 54);
}

TEST(Announcement, MembershipReportNamesTheSolicitedNodeGroup) {
  const Bytes frame = Made(MakeMembershipReport, "2001:db8::abcd:ef10");
  const Bytes group = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xcd, 0xef, 0x10};
  ASSERT_EQ(frame.size(), 90U);
  EXPECT_EQ(slow::Slice(frame, 0, 6), (Bytes{0x33, 0x33, 0, 0, 0, 0x16}));
  EXPECT_EQ(slow::Slice(frame, 14, 8), (Bytes{0x60, 0, 0, 0, 0, 36, 0, 1}));
  EXPECT_EQ(slow::Slice(frame, 22, 16),
            (Bytes{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0x11, 0x22, 0x33}));
  EXPECT_EQ(slow::Slice(frame, 38, 16), (Bytes{0xff, 2} + Bytes(13, 0) + Bytes{0x16}));
  EXPECT_EQ(slow::Slice(frame, 54, 8), (Bytes{58, 0, 5, 2, 0, 0, 1, 0})) << "router alert";
  EXPECT_EQ(slow::Slice(frame, 62, 2), (Bytes{143, 0}));
  EXPECT_EQ(slow::Slice(frame, 66, 24), (Bytes{0, 0, 0, 1, 4, 0, 0, 0} + group));
  ExpectRightSum(frame, 62);
  EXPECT_EQ(SolicitedNodeGroup(IpAddress::Parse("2001:db8::abcd:ef10").value()).ToString(),
            "ff02::1:ffcd:ef10");
}

TEST(Announcement, InAVlanHasItsTagAfterTheMacs) {
  const struct {
    uint32_t (*make)(const IpAddress&, const MacAddress&, uint16_t, uint8_t*);
    const char* address;
  } rows[] = {{MakeAnnouncement, "203.0.113.10"},
              {MakeAnnouncement, "2001:db8::abcd:ef10"},
              {MakeMembershipReport, "2001:db8::abcd:ef10"}};
  for (const auto& row : rows) {
    const Bytes untagged = Made(row.make, row.address);
    EXPECT_EQ(Made(row.make, row.address, 0xabc),
              (slow::Slice(untagged, 0, 12) + Bytes{0x81, 0, 0x0a, 0xbc} +
               slow::Slice(untagged, 12, untagged.size() - 12)));
  }
}

}  // namespace
}  // namespace fairlead
