// Each row: a frame and its expected verdict, in the order of the checks in pipeline.h.
#include <string>
#include <vector>

#include "tests/unit/pipeline/fixture.h"
#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::Ethernet;
using slow::Ip4;
using slow::Ip6;
using slow::operator+;
using testing::kClient4;
using testing::kClient6;
using testing::MakeService;
using testing::PacketResult;
using testing::PipelineFixture;

const Bytes kFrontend4 = {203, 0, 113, 10};
const Bytes kFrontend6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
// The group that a solicitation for kFrontend6 is sent to (RFC 4291, 2.7.1).
const Bytes kSolicited = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0x10};

Bytes Tcp4(Ip4 ip = {}, uint16_t port = 80, size_t payload = 0) {
  ip.protocol = kIpProtoTcp;
  return Ethernet(kEtherTypeIpv4) +
         slow::MakeIp4(ip, slow::MakeTcp(ip.source, ip.destination, kTcpSyn, {},
                                         slow::Payload(payload), 40000, port));
}
Bytes Tcp6(Ip6 ip = {}, uint16_t port = 80, size_t payload = 0) {
  ip.next_header = kIpProtoTcp;
  return Ethernet(kEtherTypeIpv6) +
         slow::MakeIp6(ip, slow::MakeTcp(ip.source, ip.destination, kTcpSyn, {},
                                         slow::Payload(payload), 40000, port));
}
Bytes Icmp4(uint8_t type, uint8_t code, Ip4 ip = {}) {
  ip.protocol = kIpProtoIcmp;
  return Ethernet(kEtherTypeIpv4) +
         slow::MakeIp4(ip, slow::MakeIcmp4(type, code, 0x00070001, slow::Payload(16)));
}
Bytes Icmp6(uint8_t type, const Bytes& source, const Bytes& destination, const Bytes& body,
            uint8_t hop_limit = 64) {
  return Ethernet(kEtherTypeIpv6) +
         slow::MakeIp6({.source = source,
                        .destination = destination,
                        .next_header = kIpProtoIcmpv6,
                        .hop_limit = hop_limit},
                       slow::MakeIcmp6(source, destination, type, 0, 0, body));
}
Bytes Solicitation(const Bytes& target, const Bytes& source = kClient6, uint8_t hop_limit = 255) {
  return Icmp6(kIcmpv6NeighbourSolicitation, source, kSolicited,
               target + Bytes{1, 1, 2, 0, 0, 0, 0, 2}, hop_limit);
}
Bytes Arp(uint8_t operation, const Bytes& sender, const Bytes& target) {
  return Ethernet(kEtherTypeArp) + Bytes{0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 2} +
         sender + Bytes{0, 0, 0, 0, 0, 0} + target;
}
Bytes WithDestinationMac(Bytes frame, const Bytes& mac) {
  std::copy(mac.begin(), mac.end(), frame.begin());
  return frame;
}
Bytes Cut(const Bytes& frame, size_t length) { return slow::Slice(frame, 0, length); }

struct Row {
  std::string description;
  Bytes frame;
  Verdict verdict;
  DropReason reason = DropReason::kNone;
};

Row Forwarded(std::string description, Bytes frame) {
  return {std::move(description), std::move(frame), Verdict::kForward};
}
Row Replied(std::string description, Bytes frame) {
  return {std::move(description), std::move(frame), Verdict::kAnswer};
}
Row ToKernel(std::string description, Bytes frame) {
  return {std::move(description), std::move(frame), Verdict::kToKernel};
}
Row Dropped(std::string description, Bytes frame, DropReason reason) {
  return {std::move(description), std::move(frame), Verdict::kDrop, reason};
}

std::vector<Row> EthernetRows() {
  const Bytes broadcast(6, 0xff);
  const Bytes stranger = {2, 0, 0, 0, 0, 0x55};
  return {
      Dropped("to another station", WithDestinationMac(Tcp4(), stranger), DropReason::k_other_mac),
      Dropped("to another station, cut behind Ethernet",
              Cut(WithDestinationMac(Tcp4(), stranger), 14), DropReason::k_other_mac),
      Forwarded("to the port's extra MAC", WithDestinationMac(Tcp4(), {2, 0, 0, 0, 0, 0x77})),
      Dropped("empty frame", {}, DropReason::k_truncated),
      Dropped("cut in Ethernet", Cut(Tcp4(), 13), DropReason::k_truncated),
      Dropped("cut before the destination", Cut(Tcp4(), 33), DropReason::k_truncated),
      Dropped("unicast IP in a broadcast frame", WithDestinationMac(Tcp4(), broadcast),
              DropReason::k_group_mac),
      ToKernel("broadcast for another address",
               WithDestinationMac(Tcp4({.destination = {192, 0, 2, 1}}), broadcast)),
      ToKernel("LLDP", WithDestinationMac(Ethernet(0x88cc) + slow::Payload(40),
                                          {1, 0x80, 0xc2, 0, 0, 0xe})),
      Dropped("three tags", Ethernet(0x8100, {{0x8100, 1}, {0x8100, 2}}) + slow::Payload(60),
              DropReason::k_vlan_depth),
  };
}

std::vector<Row> IpRows() {
  Bytes bad_version = Tcp4();
  bad_version[14] = 0x55;
  return {
      Forwarded("TCP over IPv4", Tcp4()),
      Forwarded("TCP over IPv6", Tcp6()),
      Forwarded("IPv4 options", Tcp4({.options = Bytes(8, 1)})),
      Forwarded("padding behind IPv4", Tcp4() + Bytes(6)),
      ToKernel("another address", Tcp4({.destination = {192, 0, 2, 1}})),
      ToKernel("another address, malformed", Cut(Tcp4({.destination = {192, 0, 2, 1}}), 40)),
      ToKernel("from a frontend to another address",
               Tcp4({.source = kFrontend4, .destination = {192, 0, 2, 1}})),
      Dropped("from the frontend itself", Tcp4({.source = kFrontend4}), DropReason::k_bad_source),
      Dropped("from another frontend, malformed too", Cut(Tcp4({.source = {203, 0, 113, 12}}), 40),
              DropReason::k_bad_source),
      Dropped("from loopback", Tcp4({.source = {127, 0, 0, 1}}), DropReason::k_bad_source),
      Dropped("from the frontend itself, IPv6", Tcp6({.source = kFrontend6}),
              DropReason::k_bad_source),
      Dropped("version 5", bad_version, DropReason::k_bad_ip_version),
      Dropped("cut inside the packet", Cut(Tcp4(), 50), DropReason::k_bad_ip_length),
      Dropped("TTL 0", Tcp4({.ttl = 0}), DropReason::k_ttl_zero),
      Dropped("TTL 1", Tcp4({.ttl = 1}), DropReason::k_ttl_expired),
      Dropped("hop limit 1", Tcp6({.hop_limit = 1}), DropReason::k_ttl_expired),
      Forwarded("first fragment", Tcp4({.id = 1, .flags_fragment = kIpv4MoreFragments}, 80, 8)),
      Dropped("first fragment with TTL 1",
              Tcp4({.ttl = 1, .id = 1, .flags_fragment = kIpv4MoreFragments}, 80, 8),
              DropReason::k_ttl_expired),
      Dropped("later fragment of GRE",
              Ethernet(kEtherTypeIpv4) +
                  slow::MakeIp4({.protocol = 47, .flags_fragment = 2}, slow::Payload(20)),
              DropReason::k_unsupported_protocol),
      Dropped("first fragment to a port without frontend",
              Tcp4({.flags_fragment = kIpv4MoreFragments}, 81), DropReason::k_no_frontend),
      Dropped("GRE", Ethernet(kEtherTypeIpv4) + slow::MakeIp4({.protocol = 47}, slow::Payload(20)),
              DropReason::k_unsupported_protocol),
      Dropped("UDP to a TCP frontend",
              Ethernet(kEtherTypeIpv4) + slow::MakeIp4({}, slow::MakeUdp(kClient4, kFrontend4, {})),
              DropReason::k_no_frontend),
      Dropped("port without frontend", Tcp4({}, 81), DropReason::k_no_frontend),
      Dropped("port without frontend, TTL 1", Tcp4({.ttl = 1}, 81), DropReason::k_no_frontend),
      Forwarded("any-port frontend", Tcp4({.destination = {203, 0, 113, 11}}, 4711)),
      Dropped("port 0 of an any-port frontend", Tcp4({.destination = {203, 0, 113, 11}}, 0),
              DropReason::k_port_zero),
  };
}

std::vector<Row> EgressRows() {
  return {
      Dropped("service without backends", Tcp4({.destination = {203, 0, 113, 12}}),
              DropReason::k_no_backend),
      Dropped("backend without next hop", Tcp4({.destination = {203, 0, 113, 13}}),
              DropReason::k_no_next_hop),
      Forwarded("exactly the MTU", Tcp4({}, 80, 1460)),
      Forwarded("a byte above the MTU, without DF", Tcp4({}, 80, 1461)),
      Dropped("a byte above the MTU, with DF",
              Tcp4({.flags_fragment = kIpv4DontFragment}, 80, 1461), DropReason::k_too_big),
      Forwarded("exactly the MTU, IPv6", Tcp6({}, 80, 1440)),
      Dropped("a byte above the MTU, IPv6", Tcp6({}, 80, 1441), DropReason::k_too_big),
      Dropped(
          "above the MTU of another egress port",
          Tcp4({.destination = {203, 0, 113, 18}, .flags_fragment = kIpv4DontFragment}, 80, 1361),
          DropReason::k_too_big),
      Dropped("above the MTU without next hop", Tcp4({.destination = {203, 0, 113, 13}}, 80, 2000),
              DropReason::k_no_next_hop),
  };
}

std::vector<Row> AnswerRows() {
  const Bytes stranger = {192, 0, 2, 1};
  const Bytes other6 = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x99};
  Bytes bad_sum = Icmp4(kIcmpEchoRequest, 0);
  bad_sum.back() ^= 1;
  Bytes bad_arp = Arp(1, kClient4, kFrontend4);
  bad_arp[15] = 6;  // hardware type: not Ethernet
  const Bytes any(16);
  return {
      Replied("ARP request", Arp(1, kClient4, kFrontend4)),
      Replied("ARP probe", Arp(1, {0, 0, 0, 0}, kFrontend4)),
      ToKernel("ARP request for another address", Arp(1, kClient4, stranger)),
      Dropped("ARP reply from another host that claims the frontend", Arp(2, kFrontend4, kClient4),
              DropReason::k_address_conflict),
      Dropped("gratuitous ARP", Arp(1, kFrontend4, kFrontend4), DropReason::k_address_conflict),
      Dropped("ARP request with the frontend as sender", Arp(1, kFrontend4, stranger),
              DropReason::k_address_conflict),
      Dropped("malformed ARP", bad_arp, DropReason::k_bad_arp),
      ToKernel("cut ARP", Cut(Arp(1, kClient4, kFrontend4), 30)),
      Replied("neighbour solicitation", Solicitation(kFrontend6)),
      Replied("neighbour solicitation, unicast",
              Icmp6(kIcmpv6NeighbourSolicitation, kClient6, kFrontend6, kFrontend6, 255)),
      ToKernel("neighbour solicitation for another address", Solicitation(other6)),
      Dropped("neighbour solicitation with hop limit 254", Solicitation(kFrontend6, kClient6, 254),
              DropReason::k_bad_neighbour),
      Dropped("neighbour solicitation with the frontend as source",
              Solicitation(other6, kFrontend6), DropReason::k_address_conflict),
      Dropped("neighbour advertisement of the frontend",
              Icmp6(kIcmpv6NeighbourAdvertisement, kClient6,
                    {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, kFrontend6, 255),
              DropReason::k_address_conflict),
      Replied("echo request", Icmp4(kIcmpEchoRequest, 0)),
      Replied("echo request with TTL 1", Icmp4(kIcmpEchoRequest, 0, {.ttl = 1})),
      Replied("echo request, IPv6",
              Icmp6(kIcmpv6EchoRequest, kClient6, kFrontend6, slow::Payload(8))),
      ToKernel("echo request to another address",
               Icmp4(kIcmpEchoRequest, 0, {.destination = stranger})),
      Dropped("echo request with another code", Icmp4(kIcmpEchoRequest, 1), DropReason::k_bad_icmp),
      Dropped("echo request with a wrong checksum", bad_sum, DropReason::k_bad_icmp),
      Dropped("fragment of an echo request",
              Icmp4(kIcmpEchoRequest, 0, {.flags_fragment = kIpv4MoreFragments}),
              DropReason::k_fragment),
      Dropped("echo reply", Icmp4(kIcmpEchoReply, 0), DropReason::k_icmp_unsupported),
      Dropped("ICMP error that quotes no packet", Icmp4(3, 4), DropReason::k_bad_embedded),
      Dropped("source quench", Icmp4(4, 0), DropReason::k_icmp_unsupported),
  };
}

class VerdictTest : public PipelineFixture {
 protected:
  void SetUp() override {
    SnapshotInput input{.generation = 1, .hash_seed = 7, .services = {}};
    input.services = {
        MakeService(1, "web", "203.0.113.10:80/tcp", {Resolved(1, 1), Resolved(2, 2)}),
        MakeService(2, "any", "203.0.113.11:0/tcp", {Resolved(3, 3)}),
        MakeService(3, "none", "203.0.113.12:80/tcp", {}),
        MakeService(4, "unresolved", "203.0.113.13:80/tcp", {testing::MakeBackend(4, "10.0.0.4")}),
        MakeService(5, "tagged", "203.0.113.17:80/tcp", {Resolved(5, 5, "", 100)}),
        MakeService(6, "lan", "203.0.113.18:80/tcp", {Resolved(6, 6, "lan")}),
    };
    input.services[0].frontends.push_back(Frontend::Parse("[2001:db8::10]:80/tcp").value());
    Use(input);
  }

  void Check(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      SCOPED_TRACE(row.description);
      const PacketResult fate = Process(row.frame);
      EXPECT_EQ(fate.verdict, row.verdict);
      EXPECT_EQ(DropReasonName(fate.reason), DropReasonName(row.reason));
    }
  }
};

TEST_F(VerdictTest, DecidesByTheEthernetHeader) { Check(EthernetRows()); }
TEST_F(VerdictTest, DecidesByTheIpAndTransportHeaders) { Check(IpRows()); }
TEST_F(VerdictTest, DecidesByTheBackendAndTheEgressMtu) { Check(EgressRows()); }
TEST_F(VerdictTest, AnswersOnlyRequestsAboutFrontends) { Check(AnswerRows()); }

TEST_F(VerdictTest, DecidesEachPacketOfABurstAsIfItWereAlone) {
  std::vector<Row> rows = EthernetRows();
  for (const auto& more : {IpRows(), EgressRows(), AnswerRows()}) {
    rows.insert(rows.end(), more.begin(), more.end());
  }
  // Tries every offset, so that each row is at each position of a burst, beside various others.
  for (size_t first = 0; first < rows.size(); ++first) {
    std::vector<testing::Buffer> buffers;
    for (size_t i = 0; i < kMaxBurst; ++i) {
      buffers.emplace_back(rows[(first + i) % rows.size()].frame);
    }
    const std::vector<PacketResult> fates = Process(buffers);
    for (size_t i = 0; i < kMaxBurst; ++i) {
      const Row& row = rows[(first + i) % rows.size()];
      SCOPED_TRACE(row.description + ", packet " + std::to_string(i));
      ASSERT_EQ(fates[i].verdict, row.verdict);
      ASSERT_EQ(DropReasonName(fates[i].reason), DropReasonName(row.reason));
    }
  }
}

TEST_F(VerdictTest, DropsPacketsToAFrontendIfTheNicReportsABadIpChecksum) {
  nic_bad_ip_checksum_ = true;
  Check({Dropped("plain packet", Tcp4(), DropReason::k_bad_ip_checksum),
         Dropped("echo request", Icmp4(kIcmpEchoRequest, 0), DropReason::k_bad_ip_checksum),
         ToKernel("another address", Tcp4({.destination = {192, 0, 2, 1}}))});
}

TEST_F(VerdictTest, SendsAllToTheKernelBeforeTheFirstSnapshot) {
  context_.tables = nullptr;
  Check({ToKernel("TCP", Tcp4()), ToKernel("ARP", Arp(1, kClient4, kFrontend4)),
         Dropped("unreadable", Cut(Tcp4(), 20), DropReason::k_truncated)});
}

TEST_F(VerdictTest, SetsTheMacsOfTheBackendAndTheEgressPort) {
  const Bytes sent = Tcp4() + Bytes(6);
  const PacketResult fate = Process(sent);
  ASSERT_EQ(fate.verdict, Verdict::kForward);
  EXPECT_EQ(fate.egress_port, 0);
  EXPECT_EQ(slow::Slice(fate.frame, 0, 5), (Bytes{2, 0, 0, 0, 1}));
  EXPECT_EQ(slow::Slice(fate.frame, 6, 6), (Bytes{2, 0, 0, 0, 0, 1}));
  EXPECT_EQ(fate.frame.size(), sent.size());  // padding stays
  EXPECT_EQ(fate.frame[22], 63);              // TTL
  EXPECT_EQ(slow::Sum(slow::Slice(fate.frame, 14, 20)), 0xffff);
  EXPECT_EQ(slow::Slice(fate.frame, 26, 34), slow::Slice(sent, 26, 34));
}

TEST_F(VerdictTest, SendsThroughThePortOfTheNextHop) {
  const PacketResult fate = Process(Tcp4({.destination = {203, 0, 113, 18}}));
  EXPECT_EQ(fate.egress_port, 1);
  EXPECT_EQ(slow::Slice(fate.frame, 0, 12), (Bytes{2, 0, 0, 0, 1, 6, 2, 0, 0, 0, 0, 0xa1}));
}

TEST_F(VerdictTest, SendsThroughTheIngressPortIfTheNextHopNamesNone) {
  Bytes frame = Tcp4();
  const PacketResult fate = Process(WithDestinationMac(frame, {2, 0, 0, 0, 0, 0xa1}), 1);
  EXPECT_EQ(fate.egress_port, 1);
  EXPECT_EQ(slow::Slice(fate.frame, 6, 6), (Bytes{2, 0, 0, 0, 0, 0xa1}));
}

// The tags of a frame whose next hop has VLAN 100. The outer tag's priority stays.
TEST_F(VerdictTest, ReplacesTagsByTheNextHopsVlan) {
  const Bytes inside = slow::Slice(Tcp4({.destination = {203, 0, 113, 17}}), 12, 42);
  const Bytes macs = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  const struct {
    std::string description;
    Bytes tags;
    Bytes expected;
  } rows[] = {
      {"untagged", {}, {0x81, 0, 0, 100}},
      {"one tag", {0x81, 0, 0xa0, 5}, {0x81, 0, 0xa0, 100}},
      {"802.1ad", {0x88, 0xa8, 0x20, 5}, {0x81, 0, 0x20, 100}},
      {"two tags", {0x88, 0xa8, 0x60, 5, 0x81, 0, 0, 6}, {0x81, 0, 0x60, 100}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.description);
    const PacketResult fate = Process(macs + row.tags + inside);
    ASSERT_EQ(fate.verdict, Verdict::kForward);
    EXPECT_EQ(slow::Slice(fate.frame, 0, 12), (Bytes{2, 0, 0, 0, 1, 5, 2, 0, 0, 0, 0, 1}));
    EXPECT_EQ(slow::Slice(fate.frame, 12, 4), row.expected);
    EXPECT_EQ(slow::Slice(fate.frame, 16, 2), (Bytes{8, 0}));
    EXPECT_EQ(slow::Sum(slow::Slice(fate.frame, 18, 20)), 0xffff);
    EXPECT_EQ(fate.frame.size(), macs.size() + row.expected.size() + inside.size());
  }
}

TEST_F(VerdictTest, DropsPacketsWithoutHeadroomForATag) {
  std::vector<testing::Buffer> buffers;
  buffers.emplace_back(Tcp4({.destination = {203, 0, 113, 17}}), uint16_t{3});
  EXPECT_EQ(Process(buffers)[0].reason, DropReason::k_no_headroom);
}

TEST_F(VerdictTest, DropsASolicitationWithoutTailroomForTheReply) {
  // The solicitation has no option, so the advertisement is eight bytes longer.
  std::vector<testing::Buffer> buffers;
  buffers.emplace_back(Icmp6(kIcmpv6NeighbourSolicitation, kClient6, kSolicited, kFrontend6, 255),
                       testing::kHeadroom, uint16_t{7});
  EXPECT_EQ(Process(buffers)[0].reason, DropReason::k_no_headroom);
}

TEST_F(VerdictTest, SendsRepliesThroughTheIngressPort) {
  const PacketResult fate =
      Process(WithDestinationMac(Arp(1, kClient4, kFrontend4), Bytes(6, 0xff)), 1);
  ASSERT_EQ(fate.verdict, Verdict::kAnswer);
  EXPECT_EQ(fate.egress_port, 1);
  EXPECT_EQ(slow::Slice(fate.frame, 0, 12), (Bytes{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0xa1}));
  EXPECT_EQ(slow::Slice(fate.frame, 22, 10), (Bytes{2, 0, 0, 0, 0, 0xa1} + kFrontend4));
}

TEST_F(VerdictTest, LimitsTheRateOfReplies) {
  context_.echo_replies = TokenBucket(10, 3);
  const Bytes ping = Icmp4(kIcmpEchoRequest, 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Process(ping).verdict, Verdict::kAnswer);
  EXPECT_EQ(Process(ping).reason, DropReason::k_rate_limited);
  context_.now_us += 100'000;
  EXPECT_EQ(Process(ping).verdict, Verdict::kAnswer);
  EXPECT_EQ(Process(ping).reason, DropReason::k_rate_limited);
  EXPECT_EQ(counters_.totals.generated, 4u);
  EXPECT_EQ(Drops(DropReason::k_answered), 4u);
}

// With one shared limit, a flood of pings would make the routers lose the frontends.
TEST_F(VerdictTest, AFloodOfPingsDoesNotLimitNeighbourReplies) {
  context_.echo_replies = TokenBucket(10, 1);
  context_.neighbour_replies = TokenBucket(10, 2);
  const Bytes ping = Icmp4(kIcmpEchoRequest, 0);
  EXPECT_EQ(Process(ping).verdict, Verdict::kAnswer);
  EXPECT_EQ(Process(ping).reason, DropReason::k_rate_limited);
  const Bytes arp = WithDestinationMac(Arp(1, kClient4, kFrontend4), Bytes(6, 0xff));
  EXPECT_EQ(Process(arp).verdict, Verdict::kAnswer);
  EXPECT_EQ(
      Process(Icmp6(kIcmpv6NeighbourSolicitation, kClient6, kSolicited, kFrontend6, 255)).verdict,
      Verdict::kAnswer);
  EXPECT_EQ(Process(arp).reason, DropReason::k_rate_limited);
}

}  // namespace
}  // namespace fairlead
