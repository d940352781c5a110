// nat in both directions: addresses, ports, checksums, other packets, and ICMP errors.
#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::Backend4;
using testing::Backend6;
using testing::Behind;
using testing::Buffer;
using testing::Frontend4;
using testing::Frontend6;
using testing::kClient4;
using testing::kClient6;
using testing::MakeFrame;
using testing::ModesFixture;
using testing::PacketResult;
using testing::TestPacketFields;

constexpr uint8_t kNat4 = 24;
constexpr uint8_t kNat6 = 25;

// A packet from a nat backend. By default it is a reply of its family's service.
struct Reply {
  bool v6 = false;
  uint8_t protocol = kIpProtoTcp;
  uint8_t flags = kTcpAck;
  size_t payload = 5;
  uint8_t ttl = 64;
  uint16_t source_port = 8080;
  uint16_t fragment = kIpv4DontFragment;
  Bytes to = {};
  Bytes tcp_options = {};
};

Bytes L4Of(const Reply& reply, const Bytes& source, const Bytes& destination) {
  const Bytes payload = slow::Payload(reply.payload);
  if (reply.protocol == kIpProtoUdp) {
    return slow::MakeUdp(source, destination, payload, reply.source_port, 40000);
  }
  return slow::MakeTcp(source, destination, reply.flags, reply.tcp_options, payload,
                       reply.source_port, 40000);
}

// The reply, with `source` as its source address.
Bytes ReplyPacket(const Reply& reply, const Bytes& source) {
  const Bytes to = !reply.to.empty() ? reply.to : reply.v6 ? kClient6 : kClient4;
  const Bytes l4 = L4Of(reply, source, to);
  if (reply.v6) {
    return slow::MakeIp6({.source = source,
                          .destination = to,
                          .next_header = reply.protocol,
                          .hop_limit = reply.ttl},
                         l4);
  }
  return slow::MakeIp4({.source = source,
                        .destination = to,
                        .protocol = reply.protocol,
                        .ttl = reply.ttl,
                        .flags_fragment = reply.fragment},
                       l4);
}
Bytes ReplyFrame(const Reply& reply) {
  return slow::Ethernet(reply.v6 ? kEtherTypeIpv6 : kEtherTypeIpv4) +
         ReplyPacket(reply, reply.v6 ? Backend6(7) : Backend4(6));
}
// The packet that the client must get: built from scratch, with the frontend as its source.
Bytes TranslatedReply(Reply reply) {
  reply.source_port = 80;
  reply.ttl = static_cast<uint8_t>(reply.ttl - 1);
  return ReplyPacket(reply, reply.v6 ? Frontend6(kNat6) : Frontend4(kNat4));
}

class NatModeTest : public ModesFixture {
 protected:
  // The packet that the backend must get for a client's packet.
  static Bytes Translated(const TestPacketFields& wish) {
    const Bytes to = wish.v6 ? Backend6(7) : Backend4(6);
    const Bytes from = wish.v6 ? kClient6 : kClient4;
    const Bytes payload = slow::Payload(wish.payload);
    const Bytes l4 = wish.protocol == kIpProtoUdp
                         ? slow::MakeUdp(from, to, payload, wish.client_port, 8080)
                         : slow::MakeTcp(from, to, wish.flags, wish.tcp_options, payload,
                                         wish.client_port, 8080);
    const auto ttl = static_cast<uint8_t>(wish.ttl - 1);
    if (wish.v6) {
      return slow::MakeIp6({.source = from,
                            .destination = to,
                            .next_header = wish.protocol,
                            .traffic_class = wish.tos,
                            .flow_label = 0x12345,
                            .hop_limit = ttl},
                           l4);
    }
    return slow::MakeIp4({.source = from,
                          .destination = to,
                          .protocol = wish.protocol,
                          .tos = wish.tos,
                          .ttl = ttl,
                          .flags_fragment = wish.fragment},
                         l4);
  }

  void ExpectToClient(const PacketResult& fate, const Bytes& packet) {
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    EXPECT_EQ(fate.egress_port, 0);
    EXPECT_EQ(slow::Slice(fate.frame, 0, 12), (Bytes{2, 0, 0, 0, 0, 0xfe, 2, 0, 0, 0, 0, 1}));
    EXPECT_EQ(Behind(fate.frame, 14), packet);
  }

  // Receives a backend's frame at the lan port, sent to its MAC.
  PacketResult FromLan(Bytes frame) {
    frame[5] = 0xa1;
    return Process(frame, 1);
  }
};

TEST_F(NatModeTest, TranslatesRequestsToTheBackendsAddressAndPort) {
  for (const bool v6 : {false, true}) {
    for (const uint8_t protocol : {kIpProtoTcp, kIpProtoUdp}) {
      SCOPED_TRACE(std::string(v6 ? "v6 " : "v4 ") + std::to_string(protocol));
      const TestPacketFields wish{.v6 = v6,
                                  .frontend = v6 ? kNat6 : kNat4,
                                  .protocol = protocol,
                                  .payload = 33,
                                  .tos = 0x2e};
      const PacketResult fate = Process(MakeFrame(wish) + Bytes(4));
      ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
      const uint8_t mac = v6 ? 7 : 6;
      EXPECT_EQ(slow::Slice(fate.frame, 0, 12), (Bytes{2, 0, 0, 0, 1, mac, 2, 0, 0, 0, 0, 1}));
      EXPECT_EQ(Behind(fate.frame, 14), Translated(wish) + Bytes(4));  // padding stays
    }
  }
}

TEST_F(NatModeTest, TranslatesRepliesWithoutHavingSeenTheRequest) {
  for (const bool v6 : {false, true}) {
    for (const uint8_t protocol : {kIpProtoTcp, kIpProtoUdp}) {
      const Reply reply{.v6 = v6, .protocol = protocol};
      ExpectToClient(FromLan(ReplyFrame(reply)), TranslatedReply(reply));
    }
  }
}

TEST_F(NatModeTest, SendsPacketsThatAreNoRepliesToTheKernel) {
  Bytes group = ReplyFrame({});
  group[0] = 1;
  const struct {
    const char* description;
    Bytes frame;
  } rows[] = {
      {"another source port", ReplyFrame({.source_port = 8081})},
      {"another source", slow::Ethernet(kEtherTypeIpv4) + ReplyPacket({}, Backend4(9))},
      {"to the balancer itself", ReplyFrame({.to = {10, 0, 0, 254}})},
      {"to the balancer's other port", ReplyFrame({.to = testing::kWan4})},
      {"to the balancer itself, IPv6", ReplyFrame({.v6 = true, .to = testing::kWan6})},
      {"to multicast", ReplyFrame({.to = {224, 0, 0, 5}})},
      {"to broadcast", ReplyFrame({.to = {255, 255, 255, 255}})},
      {"in a multicast frame", group},
      {"malformed", slow::Slice(ReplyFrame({}), 0, 40)},
      {"TTL 0", ReplyFrame({.ttl = 0})},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.description);
    const PacketResult fate = FromLan(row.frame);
    if (row.frame[0] == 1) {
      EXPECT_EQ(Process(row.frame).verdict, Verdict::kToKernel);
    } else {
      EXPECT_EQ(fate.verdict, Verdict::kToKernel) << DropReasonName(fate.reason);
    }
  }
}

TEST_F(NatModeTest, KeepsTheReplysPortIfTheFrontendIsForAnyPort) {
  SnapshotInput input = Input();
  SnapshotService& nat = ServiceOf(&input, "nat4");
  nat.frontends = {Frontend::Parse("203.0.113.24:0/tcp").value()};
  nat.backends[0].endpoint.port = 0;
  Use(input);
  const Reply reply{.source_port = 4711};
  ExpectToClient(FromLan(ReplyFrame(reply)),
                 ReplyPacket({.ttl = 63, .source_port = 4711}, Frontend4(kNat4)));
  EXPECT_EQ(FromLan(ReplyFrame({.protocol = kIpProtoUdp, .source_port = 4711})).verdict,
            Verdict::kToKernel);
}

TEST_F(NatModeTest, SendsRepliesToTheSnapshotsNextHopIfNoPortHasAGateway) {
  ports_[0].gateway.reset();
  SnapshotInput input = Input();
  Use(input);
  EXPECT_EQ(FromLan(ReplyFrame({})).reason, DropReason::k_no_next_hop);
  input.client_next_hop_v4 = SnapshotNextHop{Mac("02:00:00:00:00:cc"), 12, "wan"};
  Use(input);
  const PacketResult fate = FromLan(ReplyFrame({}));
  ASSERT_EQ(fate.verdict, Verdict::kForward);
  EXPECT_EQ(fate.egress_port, 0);
  EXPECT_EQ(slow::Slice(fate.frame, 0, 16),
            (Bytes{2, 0, 0, 0, 0, 0xcc, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 12}));
  EXPECT_EQ(Behind(fate.frame, 18), TranslatedReply({}));
  EXPECT_EQ(FromLan(ReplyFrame({.v6 = true})).reason, DropReason::k_no_next_hop);
}

TEST_F(NatModeTest, LeavesAZeroUdpChecksumZero) {
  Bytes frame = MakeFrame({.frontend = kNat4, .protocol = kIpProtoUdp, .payload = 9});
  slow::Put16(&frame, 14 + 20 + 6, 0);
  EXPECT_EQ(slow::Get16(Process(frame).frame, 14 + 20 + 6), 0);
  Bytes reply = ReplyFrame({.protocol = kIpProtoUdp});
  slow::Put16(&reply, 14 + 20 + 6, 0);
  EXPECT_EQ(slow::Get16(FromLan(reply).frame, 14 + 20 + 6), 0);
}

TEST_F(NatModeTest, LeavesBadChecksumsBad) {
  Bytes frame = MakeFrame({.frontend = kNat4, .payload = 9});
  frame.back() ^= 0x10;
  Bytes expected = Translated({.frontend = kNat4, .payload = 9});
  expected.back() ^= 0x10;
  EXPECT_EQ(Behind(Process(frame).frame, 14), expected);
}

TEST_F(NatModeTest, ClampsTheMssOfSynAndSynAckToThePortsMtu) {
  const Bytes mss1460 = {2, 4, 0x05, 0xb4};
  const Bytes mss1360 = {2, 4, 0x05, 0x50};  // lan's MTU of 1400 less 40
  const Bytes mss1340 = {2, 4, 0x05, 0x3c};  // less 60
  SnapshotInput input = Input();
  for (const char* name : {"nat4", "nat6"}) {
    SnapshotService& nat = ServiceOf(&input, name);
    nat.flags = kServiceMssClamp;
    nat.backends[0].next_hop->interface = "lan";
  }
  Use(input);
  for (const bool v6 : {false, true}) {
    const Bytes clamped = v6 ? mss1340 : mss1360;
    TestPacketFields wish{
        .v6 = v6, .frontend = v6 ? kNat6 : kNat4, .flags = kTcpSyn, .tcp_options = mss1460};
    const PacketResult syn = Process(MakeFrame(wish));
    wish.tcp_options = clamped;
    EXPECT_EQ(Behind(syn.frame, 14), Translated(wish));
    Reply reply{.v6 = v6, .flags = kTcpSyn | kTcpAck, .payload = 0, .tcp_options = mss1460};
    const PacketResult syn_ack = FromLan(ReplyFrame(reply));
    reply.tcp_options = clamped;
    ExpectToClient(syn_ack, TranslatedReply(reply));
  }
  // Segments other than SYNs are not clamped, nor are SYNs without the service's flag.
  const TestPacketFields ack{.frontend = kNat4, .flags = kTcpAck, .tcp_options = mss1460};
  EXPECT_EQ(Behind(Process(MakeFrame(ack)).frame, 14), Translated(ack));
  Use(Input());
  const TestPacketFields syn{.frontend = kNat4, .flags = kTcpSyn, .tcp_options = mss1460};
  EXPECT_EQ(Behind(Process(MakeFrame(syn)).frame, 14), Translated(syn));
}

TEST_F(NatModeTest, DropsPacketsWithAnAuthenticationHeader) {
  const Bytes to = Frontend6(kNat6);
  const Bytes ah = Bytes{kIpProtoTcp, 4, 0, 0} + slow::Payload(20);
  const Bytes packet =
      slow::MakeIp6({.source = kClient6, .destination = to, .next_header = kIpProtoAh},
                    ah + slow::MakeTcp(kClient6, to, kTcpAck, {}, {}));
  EXPECT_EQ(Process(slow::Ethernet(kEtherTypeIpv6) + packet).reason, DropReason::k_ah_nat);
}

TEST_F(NatModeTest, TranslatesPacketsOfSeveralSegments) {
  const TestPacketFields wish{.frontend = kNat4, .payload = 900};
  std::vector<Buffer> buffers = {Buffer::Split(MakeFrame(wish), kMaxHeaderBytes)};
  EXPECT_EQ(Behind(Process(buffers)[0].frame, 14), Translated(wish));
  const Reply reply{.payload = 900};
  buffers = {Buffer::Split(ReplyFrame(reply), kMaxHeaderBytes)};
  ExpectToClient(Process(buffers)[0], TranslatedReply(reply));
}

TEST_F(NatModeTest, SendsIcmpErrorsAboutExpiredAndTooBigRepliesToTheBackend) {
  const PacketResult expired = FromLan(ReplyFrame({.ttl = 1}));
  EXPECT_EQ(expired.reason, DropReason::k_ttl_expired);
  ASSERT_EQ(made_.size(), 1u);
  EXPECT_EQ(made_[0].egress_port, 1);
  EXPECT_EQ(slow::Slice(made_[0].frame, 26, 8), (Bytes{10, 0, 0, 254} + Backend4(6)));
  EXPECT_EQ(made_[0].frame[34], 11);
  const PacketResult too_big = FromLan(ReplyFrame({.payload = 1461}));
  EXPECT_EQ(too_big.reason, DropReason::k_too_big);
  ASSERT_EQ(made_.size(), 1u);
  EXPECT_EQ(slow::Slice(made_[0].frame, 34, 2), (Bytes{3, 4}));
  EXPECT_EQ(slow::Get16(made_[0].frame, 40), 1500);
}

// An ICMP error from `router` to `to` about `quoted`.
Bytes ErrorFrame(bool v6, const Bytes& router, const Bytes& to, const Bytes& quoted,
                 uint8_t ttl = 64) {
  if (v6) {
    return slow::Ethernet(kEtherTypeIpv6) +
           slow::MakeIp6({.source = router,
                          .destination = to,
                          .next_header = kIpProtoIcmpv6,
                          .hop_limit = ttl},
                         slow::MakeIcmp6(router, to, 2, 0, 1280, quoted));
  }
  return slow::Ethernet(kEtherTypeIpv4) +
         slow::MakeIp4({.source = router, .destination = to, .protocol = kIpProtoIcmp, .ttl = ttl},
                       slow::MakeIcmp4(3, 4, 1280, quoted));
}

const Bytes kRouter4 = {192, 0, 2, 254};
const Bytes kRouter6 = {0x20, 1, 0xd, 0xb8, 0, 0xf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfd};

TEST_F(NatModeTest, TranslatesIcmpErrorsToTheBackend) {
  for (const bool v6 : {false, true}) {
    const Bytes frontend = v6 ? Frontend6(kNat6) : Frontend4(kNat4);
    const Bytes backend = v6 ? Backend6(7) : Backend4(6);
    const Bytes router = v6 ? kRouter6 : kRouter4;
    // The quote has the frontend's address. The backend must get its own address there.
    Reply sent{.v6 = v6, .payload = 40};
    Reply seen = sent;
    seen.source_port = 80;
    const PacketResult fate =
        Process(ErrorFrame(v6, router, frontend, ReplyPacket(seen, frontend)));
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    EXPECT_EQ(fate.frame[5], v6 ? 7 : 6);
    EXPECT_EQ(Behind(fate.frame, 14),
              Behind(ErrorFrame(v6, router, backend, ReplyPacket(sent, backend), 63), 14));
  }
}

TEST_F(NatModeTest, TranslatesIcmpErrorsToTheClient) {
  for (const bool v6 : {false, true}) {
    const Bytes frontend = v6 ? Frontend6(kNat6) : Frontend4(kNat4);
    const Bytes backend = v6 ? Backend6(7) : Backend4(6);
    const Bytes client = v6 ? kClient6 : kClient4;
    const TestPacketFields wish{.v6 = v6, .frontend = v6 ? kNat6 : kNat4, .payload = 40, .ttl = 63};
    TestPacketFields original = wish;
    const Bytes quoted = Translated({.v6 = v6, .frontend = wish.frontend, .payload = 40});
    // The backend's error gets the frontend as its source. The error of a router behind the
    // balancer keeps its source.
    for (const bool from_backend : {true, false}) {
      const Bytes sender = from_backend ? backend : v6 ? kRouter6 : kRouter4;
      const Bytes shown = from_backend ? frontend : sender;
      const PacketResult fate = FromLan(ErrorFrame(v6, sender, client, quoted));
      ExpectToClient(fate,
                     Behind(ErrorFrame(v6, shown, client, testing::MakePacket(original), 63), 14));
    }
  }
}

TEST_F(NatModeTest, SendsOtherIcmpErrorsToTheKernel) {
  const Bytes other = slow::MakeIp4({.source = kClient4, .destination = Backend4(9), .protocol = 6},
                                    slow::MakeTcp(kClient4, Backend4(9), kTcpAck, {}, {}));
  EXPECT_EQ(FromLan(ErrorFrame(false, kRouter4, kClient4, other)).verdict, Verdict::kToKernel);
  Bytes bad = ErrorFrame(false, kRouter4, kClient4, Translated({.frontend = kNat4}));
  bad.back() ^= 1;
  EXPECT_EQ(FromLan(bad).verdict, Verdict::kToKernel);
}

}  // namespace
}  // namespace fairlead
