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
  uint8_t backend[8] = {0, 0, 0, 0, 0, 0, 0xee, 0xee};  // the bytes after the MAC must not matter
  std::memcpy(backend, Mac(kBackendMac).bytes.data(), 6);
  RewriteDsr(frame.data(), packet, backend, SourceMac::Of(Mac(kEgressMac).bytes.data()));
  return frame;
}

testing::EthernetFields EgressFields(const std::vector<uint32_t>& tags = {}) {
  return {.destination = kBackendMac, .source = kEgressMac, .tags = tags};
}

Bytes HeaderOf(const Bytes& frame) { return {frame.begin() + 14, frame.begin() + 34}; }

TEST(RewriteDsr, ChangesMacsTtlAndChecksumAndNothingElse) {
  const Bytes tcp = Tcp({}, Bytes(100, 0x5a));
  EXPECT_EQ(Rewritten(Ethernet(0x0800, Ipv4(tcp, {.ttl = 64}))),
            Ethernet(0x0800, Ipv4(tcp, {.ttl = 63}), EgressFields()));
  EXPECT_EQ(Rewritten(Ethernet(0x86dd, Ipv6(tcp, {.hop_limit = 64}))),
            Ethernet(0x86dd, Ipv6(tcp, {.hop_limit = 63}), EgressFields()));
}

TEST(RewriteDsr, KeepsTagsOptionsAndPadding) {
  const std::vector<uint32_t> tags = {0x88a80064, 0x81000065};
  const Bytes options(40, 1);
  const testing::Bytes padding(6, 0xee);
  using testing::operator+;
  EXPECT_EQ(
      Rewritten(
          Ethernet(0x0800, Ipv4(Tcp(), {.ttl = 2, .options = options}) + padding, {.tags = tags})),
      Ethernet(0x0800, Ipv4(Tcp(), {.ttl = 1, .options = options}) + padding, EgressFields(tags)));
}

TEST(RewriteDsr, ChecksumEqualsAFullSumForEveryTtlAndEveryId) {
  for (uint32_t ttl = 2; ttl <= 255; ++ttl) {
    const auto before = static_cast<uint8_t>(ttl);
    const auto after = static_cast<uint8_t>(ttl - 1);
    ASSERT_EQ(Rewritten(Ethernet(0x0800, Ipv4(Tcp(), {.ttl = before}))),
              Ethernet(0x0800, Ipv4(Tcp(), {.ttl = after}), EgressFields()));
  }
  // The id gives the sum every value, including 0x0000, 0x0001, 0xfffe and 0xffff.
  for (uint32_t id = 0; id <= 0xffff; ++id) {
    ASSERT_EQ(Rewritten(Ethernet(0x0800, Ipv4(Tcp(), {.ttl = 64, .id = id}))),
              Ethernet(0x0800, Ipv4(Tcp(), {.ttl = 63, .id = id}), EgressFields()))
        << "id " << id;
  }
}

// A checksum field of 0xffff means the same as 0x0000 (RFC 1624, 3). Both are correct, and the
// rewritten checksum must be correct too.
TEST(RewriteDsr, AcceptsBothFormsOfAZeroChecksum) {
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
