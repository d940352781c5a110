#include "dataplane/pipeline/probe.h"

#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using testing::Buffer;
using testing::MakePacket;
using testing::ModeRow;
using testing::ModesFixture;
using testing::PacketResult;
using testing::TestPacketFields;

class ProbeTest : public ModesFixture {
 protected:
  DropReason Send(const Bytes& packet, uint32_t backend_id) {
    ProbeRewriter::Frame frame;
    const DropReason reason = rewriter_.Rewrite(*tables_, backend_id, packet, &frame);
    frame_.assign(frame.bytes.begin(), frame.bytes.end());
    egress_port_ = frame.egress_port;
    return reason;
  }
  static bool Probes(const ModeRow& row) { return row.mode != ForwardingMode::kNat; }

  ProbeRewriter rewriter_ = ProbeRewriter::Create(views_).value();
  Bytes frame_;
  uint16_t egress_port_ = 0;
};

TEST_F(ProbeTest, LeavesAsAClientsPacketToThatBackendWould) {
  ForEachMode([&](const ModeRow& row, bool v6) {
    if (!Probes(row)) return;
    for (const uint8_t protocol : {kIpProtoTcp, kIpProtoUdp}) {
      const TestPacketFields fields{.v6 = v6, .frontend = row.frontend, .protocol = protocol};
      const PacketResult of_client = Process(MakeFrame(fields));
      ASSERT_EQ(of_client.verdict, Verdict::kForward);
      ASSERT_EQ(Send(MakePacket(fields), row.frontend), DropReason::kNone);
      EXPECT_EQ(frame_, of_client.frame);
      EXPECT_EQ(egress_port_, of_client.egress_port);
    }
  });
}

TEST_F(ProbeTest, GoesToItsBackendWhateverTheHashSays) {
  SnapshotInput input = Input();
  SnapshotService& service = ServiceOf(&input, "dsr");
  for (uint32_t n = 20; n < 24; ++n) {
    service.backends.push_back(
        ResolvedAt("10.0.0." + std::to_string(n), 1000 + n, static_cast<int>(n)));
  }
  // A backend that gets no flows is probed, too.
  service.backends[1].state = BackendState::kDown;
  service.backends[2].weight = 0;
  Use(input);
  for (uint32_t n = 20; n < 24; ++n) {
    ASSERT_EQ(Send(MakePacket({}), 1000 + n), DropReason::kNone);
    EXPECT_EQ(frame_[5], n) << "destination MAC";
  }
}

TEST_F(ProbeTest, LeavesByTheEgressPortOfItsBackend) {
  SnapshotInput input = Input();
  ServiceOf(&input, "dsr").backends = {Resolved(7, 1, ports_[1].interface, 100)};
  Use(input);
  ASSERT_EQ(Send(MakePacket({}), 7), DropReason::kNone);
  EXPECT_EQ(egress_port_, 1);
  EXPECT_EQ(slow::Get16(frame_, 12), kEtherTypeVlan);
  EXPECT_EQ(slow::Get16(frame_, 14), 100);
}

// A static next hop without an interface leaves by the port that has the probe's source address.
TEST_F(ProbeTest, LeavesByThePortOfItsSourceIfTheBackendHasNone) {
  const Bytes to = testing::Frontend4(10);
  const Bytes source = {10, 0, 0, 254};
  const Bytes packet = slow::MakeIp4({.source = source, .destination = to, .protocol = kIpProtoTcp},
                                     slow::MakeTcp(source, to, kTcpSyn, {}, {}, 61000, 80));
  ASSERT_EQ(Send(packet, 10), DropReason::kNone);
  EXPECT_EQ(egress_port_, 1);
}

TEST_F(ProbeTest, IsDroppedWithoutAFrontendOrABackendOfTheFrontendsService) {
  EXPECT_EQ(Send(MakePacket({.frontend = 99}), 10), DropReason::k_no_frontend);
  EXPECT_EQ(Send(MakePacket({}), 20), DropReason::k_no_backend) << "of another service";
  EXPECT_EQ(Send(MakePacket({}), 4711), DropReason::k_no_backend);
  SnapshotInput input = Input();
  ServiceOf(&input, "dsr").backends.front().next_hop.reset();
  Use(input);
  EXPECT_EQ(Send(MakePacket({}), 10), DropReason::k_no_next_hop);
}

TEST_F(ProbeTest, IsDroppedIfItDoesNotFitThePathOrIsNoPacketOfAProbe) {
  EXPECT_EQ(Send(MakePacket({.payload = 1600}), 10), DropReason::k_too_big);
  EXPECT_EQ(Send({}, 10), DropReason::k_bad_ip_length);
  EXPECT_EQ(Send(Bytes(ProbeRewriter::kMaxPacketBytes + 1), 10), DropReason::k_bad_ip_length);
  EXPECT_NE(Send(Bytes(40), 10), DropReason::kNone);
  EXPECT_EQ(Send(MakePacket({.protocol = kIpProtoIcmp}), 10), DropReason::k_unsupported_protocol);
  EXPECT_EQ(Send(MakePacket({.fragment = 0x2000}), 10), DropReason::k_fragment);
  const Bytes packet = MakePacket({});
  for (size_t length = 0; length < packet.size(); ++length) {
    EXPECT_NE(Send(slow::Slice(packet, 0, length), 10), DropReason::kNone) << length;
  }
  EXPECT_EQ(Send(packet, 10), DropReason::kNone);
}

TEST_F(ProbeTest, IsInNoServicesCounts) {
  ASSERT_EQ(Send(MakePacket({}), 10), DropReason::kNone);
  EXPECT_EQ(CountersOf(10).packets, 0U);
  EXPECT_EQ(CountersOf("dsr").packets, 0U);
  uint64_t records = 0;
  flows_.Sweep(0, flows_.bucket_count(), [&](const auto&...) { ++records; });
  EXPECT_EQ(records, 0U);
}

}  // namespace
}  // namespace fairlead
