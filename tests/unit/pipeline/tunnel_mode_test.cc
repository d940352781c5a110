// ipip and gue: checks the outer headers, and that the inner packet is unchanged.
#include <set>

#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::Behind;
using testing::Buffer;
using testing::kModeRows;
using testing::MakeFrame;
using testing::MakePacket;
using testing::ModeRow;
using testing::ModesFixture;
using testing::PacketResult;
using testing::TestPacketFields;

// The expected outer headers of `length` inner bytes, without what depends on the flow.
Bytes ExpectedOuter(const ModeRow& row, bool inner_v6, size_t length, uint8_t tos) {
  const uint8_t inner_protocol = inner_v6 ? 41 : 4;
  Bytes in_between;
  if (row.mode == ForwardingMode::kGue) {
    in_between.resize(12);
    slow::Put16(&in_between, 2, row.outer_v6 ? 7000 : 6080);
    slow::Put16(&in_between, 4, static_cast<uint32_t>(12 + length));
    in_between[9] = inner_protocol;
  }
  const uint8_t protocol = in_between.empty() ? inner_protocol : 17;
  if (row.outer_v6) {
    Bytes outer = slow::MakeIp6({.source = testing::kWan6,
                                 .destination = testing::Backend6(row.backend),
                                 .next_header = protocol,
                                 .traffic_class = tos},
                                in_between);
    slow::Put16(&outer, 4, static_cast<uint32_t>(in_between.size() + length));
    return outer;
  }
  Bytes outer = slow::MakeIp4({.source = testing::kWan4,
                               .destination = testing::Backend4(row.backend),
                               .protocol = protocol,
                               .tos = tos,
                               .id = 0,
                               .flags_fragment = kIpv4DontFragment},
                              in_between);
  slow::Put16(&outer, 2, static_cast<uint32_t>(20 + in_between.size() + length));
  slow::Put16(&outer, 10, 0);
  slow::Put16(&outer, 10, static_cast<uint16_t>(~slow::Sum(slow::Slice(outer, 0, 20))));
  return outer;
}

// Clears what depends on the flow (flow label, source port), and checks its range.
Bytes WithoutEntropy(Bytes outer, const ModeRow& row) {
  if (row.outer_v6) {
    EXPECT_NE(slow::Get16(outer, 2) | (outer[1] & 0xf), 0) << "no flow label";
    outer[1] &= 0xf0;
    slow::Put16(&outer, 2, 0);
  }
  if (row.mode == ForwardingMode::kGue) {
    const size_t udp = row.outer_v6 ? 40 : 20;
    EXPECT_GE(slow::Get16(outer, udp), 49152);
    slow::Put16(&outer, udp, 0);
  }
  return outer;
}

class TunnelModeTest : public ModesFixture {
 protected:
  void ExpectTunnelled(const ModeRow& row, const PacketResult& fate, const Bytes& inner,
                       bool inner_v6, uint8_t tos, const std::string& tags = "") {
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    const size_t l3 = 14 + tags.size();
    ASSERT_EQ(fate.frame.size(), l3 + row.overhead + inner.size());
    EXPECT_EQ(slow::Slice(fate.frame, 0, 12),
              (Bytes{2, 0, 0, 0, 1, row.backend, 2, 0, 0, 0, 0, 1}));
    EXPECT_EQ(std::string(fate.frame.begin() + 12,
                          fate.frame.begin() + 12 + static_cast<int>(tags.size())),
              tags);
    EXPECT_EQ(slow::Get16(fate.frame, l3 - 2), row.outer_v6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
    EXPECT_EQ(WithoutEntropy(slow::Slice(fate.frame, l3, row.overhead), row),
              ExpectedOuter(row, inner_v6, inner.size(), tos));
    EXPECT_EQ(Behind(fate.frame, l3 + row.overhead), inner);
  }

  // For every tunnel and inner family.
  template <typename Check>
  void ForEach(Check check) {
    ForEachMode([&](const ModeRow& row, bool v6) {
      if (row.overhead != 0) check(row, v6);
    });
  }
};

TEST_F(TunnelModeTest, LeavesTheInnerPacketUnchanged) {
  ForEach([&](const ModeRow& row, bool v6) {
    // DSCP and ECN are copied. The balancer does not decrement the inner TTL.
    for (const uint8_t ttl : {uint8_t{64}, uint8_t{1}}) {
      const TestPacketFields wish{
          .v6 = v6, .frontend = row.frontend, .payload = 11, .ttl = ttl, .tos = 0xb9};
      ExpectTunnelled(row, Process(MakeFrame(wish)), MakePacket(wish), v6, 0xb9);
    }
  });
}

TEST_F(TunnelModeTest, RemovesPadding) {
  ForEach([&](const ModeRow& row, bool v6) {
    const TestPacketFields wish{.v6 = v6, .frontend = row.frontend};
    ExpectTunnelled(row, Process(MakeFrame(wish) + Bytes(6, 0xee)), MakePacket(wish), v6, 0);
  });
}

TEST_F(TunnelModeTest, KeepsTheVlanTagsOfThePacket) {
  ForEach([&](const ModeRow& row, bool v6) {
    const TestPacketFields wish{.v6 = v6, .frontend = row.frontend};
    const uint16_t type = v6 ? kEtherTypeIpv6 : kEtherTypeIpv4;
    ExpectTunnelled(row, Process(slow::Ethernet(type, {{0x8100, 0x6005}}) + MakePacket(wish)),
                    MakePacket(wish), v6, 0, std::string("\x81\0\x60\5", 4));
    ExpectTunnelled(
        row, Process(slow::Ethernet(type, {{0x88a8, 0x2005}, {0x8100, 0x0006}}) + MakePacket(wish)),
        MakePacket(wish), v6, 0, std::string("\x88\xa8\x20\5\x81\0\0\6", 8));
  });
}

TEST_F(TunnelModeTest, GivesEachFlowOneOuterPortAndLabelAndSpreadsFlows) {
  for (const ModeRow& row : kModeRows) {
    if (row.overhead == 0 || (row.mode == ForwardingMode::kIpip && !row.outer_v6)) continue;
    SCOPED_TRACE(row.name);
    std::set<Bytes> seen;
    for (uint16_t port = 1000; port < 1050; ++port) {
      const TestPacketFields wish{.frontend = row.frontend, .client_port = port};
      const Bytes outer = slow::Slice(Process(MakeFrame(wish)).frame, 14, row.overhead);
      EXPECT_EQ(slow::Slice(Process(MakeFrame(wish)).frame, 14, row.overhead), outer);
      seen.insert(outer);
    }
    EXPECT_GE(seen.size(), 48u);
  }
}

TEST_F(TunnelModeTest, DropsPacketsWithoutHeadroomForTheOuterHeaders) {
  ForEach([&](const ModeRow& row, bool v6) {
    const Bytes frame = MakeFrame({.v6 = v6, .frontend = row.frontend});
    std::vector<Buffer> buffers;
    buffers.emplace_back(frame, static_cast<uint16_t>(row.overhead));
    buffers.emplace_back(frame, static_cast<uint16_t>(row.overhead - 1));
    const std::vector<PacketResult> fates = Process(buffers);
    EXPECT_EQ(fates[0].verdict, Verdict::kForward);
    EXPECT_EQ(fates[1].reason, DropReason::k_no_headroom);
  });
}

TEST_F(TunnelModeTest, EncapsulatesPacketsOfSeveralSegments) {
  ForEach([&](const ModeRow& row, bool v6) {
    const TestPacketFields wish{.v6 = v6, .frontend = row.frontend, .payload = 701};
    const Bytes frame = MakeFrame(wish) + Bytes(5, 0xee);
    std::vector<Buffer> buffers = {Buffer::Split(frame, kMaxHeaderBytes),
                                   Buffer::Split(frame, frame.size() - 3)};
    for (const PacketResult& fate : Process(buffers)) {
      ExpectTunnelled(row, fate, MakePacket(wish), v6, 0);
    }
  });
}

TEST_F(TunnelModeTest, FillsInTheGueChecksumIfConfigured) {
  SnapshotInput input = Input();
  ServiceOf(&input, "gue4").flags = kServiceGueChecksum;
  ServiceOf(&input, "gue6").flags = kServiceGueChecksum;
  Use(input);
  ForEach([&](const ModeRow& row, bool v6) {
    if (row.mode != ForwardingMode::kGue) return;
    const size_t udp = 14 + row.overhead - 12;
    const Bytes frame = MakeFrame({.v6 = v6, .frontend = row.frontend, .payload = 500});
    std::vector<Buffer> buffers;
    buffers.emplace_back(frame);
    for (const size_t linear : {392U, 393U, 541U}) buffers.push_back(Buffer::Split(frame, linear));
    for (const PacketResult& fate : Process(buffers)) {
      const Bytes source = row.outer_v6 ? testing::kWan6 : testing::kWan4;
      const Bytes destination =
          row.outer_v6 ? testing::Backend6(row.backend) : testing::Backend4(row.backend);
      EXPECT_NE(slow::Get16(fate.frame, udp + 6), 0);
      EXPECT_EQ(slow::L4Sum(source, destination, 17, Behind(fate.frame, udp)), 0xffff);
    }
  });
}

TEST_F(TunnelModeTest, TakesTheIpipSourceFromAConfiguredPrefix) {
  ports_[0].ipip_sources = {Prefix::Parse("192.0.2.128/25").value(),
                            Prefix::Parse("2001:db8:f:1::/64").value()};
  Use(Input());
  std::set<Bytes> sources4;
  std::set<Bytes> sources6;
  for (uint16_t port = 1000; port < 1064; ++port) {
    const PacketResult four = Process(MakeFrame({.frontend = 20, .client_port = port}));
    const Bytes source4 = slow::Slice(four.frame, 26, 4);
    EXPECT_EQ(slow::Slice(source4, 0, 3), (Bytes{192, 0, 2}));
    EXPECT_GE(source4[3], 128);
    EXPECT_EQ(slow::Sum(slow::Slice(four.frame, 14, 20)), 0xffff);
    sources4.insert(source4);
    const PacketResult six = Process(MakeFrame({.frontend = 21, .client_port = port}));
    const Bytes source6 = slow::Slice(six.frame, 22, 16);
    EXPECT_EQ(slow::Slice(source6, 0, 8), (Bytes{0x20, 1, 0xd, 0xb8, 0, 0xf, 0, 1}));
    sources6.insert(source6);
  }
  EXPECT_GE(sources4.size(), 32u);
  EXPECT_EQ(sources6.size(), 64u);
}

}  // namespace
}  // namespace fairlead
