#include "lib/encap/dsr.h"

#include <gtest/gtest.h>

#include "tests/unit/net/frame_builder.h"

namespace fairlead {
namespace {

using testing::Bytes;
using testing::Ethernet;
using testing::Get16;
using testing::Ipv4;
using testing::Ipv6;
using testing::Mac;
using testing::Put16;
using testing::SlowChecksum;
using testing::Tcp;

constexpr char kBackendMac[] = "02:00:00:00:00:0b";
constexpr char kEgressMac[] = "02:00:00:00:00:0e";

Bytes Rewritten(Bytes frame) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  uint8_t backend[8] = {0, 0, 0, 0, 0, 0, 0xee, 0xee};  // what lies behind must not matter
  std::memcpy(backend, Mac(kBackendMac).bytes.data(), 6);
  RewriteDsr(frame.data(), packet, backend, SourceMac::Of(Mac(kEgressMac).bytes.data()));
  return frame;
}

testing::EthernetFields OnTheWayOut(const std::vector<uint32_t>& tags = {}) {
  return {.destination = kBackendMac, .source = kEgressMac, .tags = tags};
}

Bytes HeaderOf(const Bytes& frame) { return {frame.begin() + 14, frame.begin() + 34}; }

TEST(RewriteDsr, ChangesMacsTtlAndChecksumAndNothingElse) {
  const Bytes tcp = Tcp({}, Bytes(100, 0x5a));
  EXPECT_EQ(Rewritten(Ethernet(0x0800, Ipv4(tcp, {.ttl = 64}))),
            Ethernet(0x0800, Ipv4(tcp, {.ttl = 63}), OnTheWayOut()));
  EXPECT_EQ(Rewritten(Ethernet(0x86dd, Ipv6(tcp, {.hop_limit = 64}))),
            Ethernet(0x86dd, Ipv6(tcp, {.hop_limit = 63}), OnTheWayOut()));
}

TEST(RewriteDsr, KeepsTagsOptionsAndPadding) {
  const std::vector<uint32_t> tags = {0x88a80064, 0x81000065};
  const Bytes options(40, 1);
  const testing::Bytes padding(6, 0xee);
  using testing::operator+;
  EXPECT_EQ(
      Rewritten(
          Ethernet(0x0800, Ipv4(Tcp(), {.ttl = 2, .options = options}) + padding, {.tags = tags})),
      Ethernet(0x0800, Ipv4(Tcp(), {.ttl = 1, .options = options}) + padding, OnTheWayOut(tags)));
}

TEST(RewriteDsr, ChecksumEqualsAFullSumForEveryTtlAndEveryId) {
  for (uint32_t ttl = 2; ttl <= 255; ++ttl) {
    const auto before = static_cast<uint8_t>(ttl);
    const auto after = static_cast<uint8_t>(ttl - 1);
    ASSERT_EQ(Rewritten(Ethernet(0x0800, Ipv4(Tcp(), {.ttl = before}))),
              Ethernet(0x0800, Ipv4(Tcp(), {.ttl = after}), OnTheWayOut()));
  }
  // The id moves the sum through all its values, 0x0000, 0x0001, 0xfffe and 0xffff included.
  for (uint32_t id = 0; id <= 0xffff; ++id) {
    ASSERT_EQ(Rewritten(Ethernet(0x0800, Ipv4(Tcp(), {.ttl = 64, .id = id}))),
              Ethernet(0x0800, Ipv4(Tcp(), {.ttl = 63, .id = id}), OnTheWayOut()))
        << "id " << id;
  }
}

// A checksum field of 0xffff is the other way to write 0x0000 (RFC 1624, 3): it is right, and what
// leaves must be right as well.
TEST(RewriteDsr, TakesBothFormsOfZeroForRight) {
  Bytes frame = Ethernet(0x0800, Ipv4(Tcp()));
  const uint32_t to_zero = Get16(frame, 14 + 10);  // added to the id, the sum becomes 0xffff
  Put16(&frame, 14 + 4, Get16(frame, 14 + 4) + to_zero);
  for (const uint32_t zero : {0x0000U, 0xffffU}) {
    Put16(&frame, 14 + 10, zero);
    ASSERT_EQ(SlowChecksum(HeaderOf(frame)), 0U);
    EXPECT_EQ(SlowChecksum(HeaderOf(Rewritten(frame))), 0U);
  }
}

TEST(RewriteDsr, ABadChecksumStaysBadByTheSameAmount) {
  const Bytes good = Ethernet(0x0800, Ipv4(Tcp()));
  const uint32_t right = Get16(good, 14 + 10);
  const uint32_t right_after = Get16(Rewritten(good), 14 + 10);
  for (uint32_t error = 1; error < 0xffff; ++error) {
    Bytes frame = good;
    Put16(&frame, 14 + 10, (right + error) % 0xffff);
    const Bytes out = Rewritten(frame);
    ASSERT_NE(SlowChecksum(HeaderOf(out)), 0U) << "error " << error;
    ASSERT_EQ(Get16(out, 14 + 10) % 0xffff, (right_after + error) % 0xffff) << "error " << error;
  }
}

}  // namespace
}  // namespace fairlead
