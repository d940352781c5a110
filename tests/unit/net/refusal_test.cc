#include "lib/net/refusal.h"

#include <cstdint>

#include <gtest/gtest.h>

#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

const Bytes kClient4 = {198, 51, 100, 7};
const Bytes kFrontend4 = {203, 0, 113, 10};
const MacAddress kPortMac = {{2, 0, 0, 0, 0, 0xa}};

Bytes Segment(const Bytes& tcp) {
  return slow::Ethernet(0x0800) + slow::MakeIp4({.protocol = 6}, tcp);
}

// A SYN with sequence number 1000; the checksum is right.
Bytes Syn(uint8_t flags = 2) {
  Bytes tcp = {0x9c, 0x40, 0, 80, 0, 0, 3, 0xe8, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0};
  const auto sum = static_cast<uint16_t>(~slow::L4Sum(kClient4, kFrontend4, 6, tcp));
  tcp[16] = static_cast<uint8_t>(sum >> 8);
  tcp[17] = static_cast<uint8_t>(sum);
  return tcp;
}

struct Parsed {
  explicit Parsed(const Bytes& frame) {
    const auto length = static_cast<uint32_t>(frame.size());
    FlowKey key;
    ParseFrame(frame.data(), length, length, &packet, &key);
  }
  ParsedPacket packet;
};

bool MayRefuseFrame(const Bytes& frame, size_t cut = 0) {
  return MayRefuse(frame.data(), static_cast<uint32_t>(frame.size() - cut), Parsed(frame).packet);
}

// The worked example in refusal.h.
TEST(Refusal, ResetsASyn) {
  const Bytes frame = Segment(Syn());
  ASSERT_TRUE(MayRefuseFrame(frame));
  Bytes out(kMaxTcpResetFrame);
  out.resize(MakeTcpReset(frame.data(), Parsed(frame).packet, kPortMac, out.data()));
  ASSERT_EQ(out.size(), 54U);
  EXPECT_EQ(slow::Slice(out, 26, 8), kFrontend4 + kClient4);
  EXPECT_EQ(slow::Slice(out, 34, 14),
            (Bytes{0, 80, 0x9c, 0x40, 0, 0, 0, 0, 0, 0, 3, 0xe9, 0x50, 0x14}));
  Bytes tcp = slow::Slice(out, 34, 20);
  tcp[16] = tcp[17] = 0;
  const auto sum = static_cast<uint16_t>(~slow::L4Sum(kFrontend4, kClient4, 6, tcp));
  EXPECT_EQ(slow::Slice(out, 50, 2),
            (Bytes{static_cast<uint8_t>(sum >> 8), static_cast<uint8_t>(sum)}));
}

TEST(Refusal, SendsNoResetForTruncatedOrCorruptSegmentsOrResets) {
  EXPECT_FALSE(MayRefuseFrame(Segment(Syn()), 1));
  EXPECT_FALSE(MayRefuseFrame(Segment(Syn(4)))) << "a reset";
  Bytes wrong = Syn();
  wrong[17] = static_cast<uint8_t>(wrong[17] ^ 1);
  EXPECT_FALSE(MayRefuseFrame(Segment(wrong)));
}

}  // namespace
}  // namespace fairlead
