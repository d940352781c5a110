// ICMP errors to frontends go to the backend of the quoted flow, in every mode. nat_mode_test.cc
// tests how nat translates them.
#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::Behind;
using testing::Buffer;
using testing::kClient4;
using testing::kClient6;
using testing::MakeFrame;
using testing::ModeRow;
using testing::ModesFixture;
using testing::PacketResult;

const Bytes kRouter4 = {192, 0, 2, 254};
const Bytes kRouter6 = {0x20, 1, 0xd, 0xb8, 0, 0xf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfd};

// An error about a frontend's reply to `client_port`. It quotes `quoted_l4` bytes of TCP.
Bytes ErrorPacket(bool v6, uint8_t frontend_n, uint16_t client_port, size_t quoted_l4 = 8,
                  uint8_t ttl = 64) {
  const Bytes frontend = v6 ? testing::Frontend6(frontend_n) : testing::Frontend4(frontend_n);
  const Bytes client = v6 ? kClient6 : kClient4;
  const Bytes tcp =
      slow::MakeTcp(frontend, client, kTcpAck, {}, slow::Payload(1000), 80, client_port);
  if (v6) {
    const Bytes quoted = slow::Slice(
        slow::MakeIp6({.source = frontend, .destination = client, .next_header = 6}, tcp), 0,
        40 + quoted_l4);
    return slow::MakeIp6({.source = kRouter6,
                          .destination = frontend,
                          .next_header = kIpProtoIcmpv6,
                          .hop_limit = ttl},
                         slow::MakeIcmp6(kRouter6, frontend, 2, 0, 1280, quoted));
  }
  const Bytes quoted =
      slow::Slice(slow::MakeIp4({.source = frontend, .destination = client, .protocol = 6}, tcp), 0,
                  20 + quoted_l4);
  return slow::MakeIp4(
      {.source = kRouter4, .destination = frontend, .protocol = kIpProtoIcmp, .ttl = ttl},
      slow::MakeIcmp4(3, 4, 1280, quoted));
}
Bytes ErrorFrame(bool v6, uint8_t frontend, uint16_t client_port, size_t quoted_l4 = 8,
                 uint8_t ttl = 64) {
  return slow::Ethernet(v6 ? kEtherTypeIpv6 : kEtherTypeIpv4) +
         ErrorPacket(v6, frontend, client_port, quoted_l4, ttl);
}

class IcmpErrorsTest : public ModesFixture {};

TEST_F(IcmpErrorsTest, ReachTheBackendInEveryMode) {
  ForEachMode([&](const ModeRow& row, bool v6) {
    const PacketResult fate = Process(ErrorFrame(v6, row.frontend, 40000));
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    EXPECT_EQ(fate.frame[5], row.backend);
    if (row.mode == ForwardingMode::kNat) return;
    // Tunnels do not change the error; dsr decrements its TTL.
    const uint8_t ttl = row.overhead == 0 ? 63 : 64;
    EXPECT_EQ(Behind(fate.frame, 14 + row.overhead), ErrorPacket(v6, row.frontend, 40000, 8, ttl));
  });
}

TEST_F(IcmpErrorsTest, FollowTheirFlowAndRecordNothing) {
  SnapshotInput input = Input();
  SnapshotService& service = ServiceOf(&input, "dsr");
  for (int n = 11; n < 14; ++n) {
    service.backends.push_back(Resolved(static_cast<uint32_t>(n), n));
  }
  Use(input);
  std::vector<uint8_t> owners;
  for (uint16_t port = 1000; port < 1040; ++port) {
    owners.push_back(
        Process(MakeFrame({.frontend = 10, .flags = kTcpSyn, .client_port = port})).frame[5]);
  }
  // Most slots change their owner. Recorded flows and errors about them stay on their backend.
  service.backends.erase(service.backends.begin() + 1);
  service.backends.push_back(Resolved(99, 20));
  for (SnapshotBackend& backend : service.backends) {
    if (backend.id == 10) backend.weight = 0;
  }
  Use(input);
  const uint64_t recorded = counters_.new_flows;
  for (uint16_t port = 1000; port < 1040; ++port) {
    const PacketResult error = Process(ErrorFrame(false, 10, port));
    ASSERT_EQ(error.verdict, Verdict::kForward);
    if (owners[port - 1000] != 11) {
      EXPECT_EQ(error.frame[5], owners[port - 1000]);
    }
  }
  for (uint16_t port = 2000; port < 2040; ++port) Process(ErrorFrame(false, 10, port));
  EXPECT_EQ(counters_.new_flows, recorded);
  // A flow is still new if an error came before its first packet.
  Process(MakeFrame({.frontend = 10, .flags = kTcpSyn, .client_port = 2000}));
  EXPECT_EQ(counters_.new_flows, recorded + 1);
}

TEST_F(IcmpErrorsTest, AreDroppedIfTheyAreInvalid) {
  Bytes bad_sum = ErrorFrame(false, 10, 40000);
  bad_sum.back() ^= 1;
  Bytes other_port =
      slow::MakeIp4({.source = testing::Frontend4(10), .destination = kClient4, .protocol = 6},
                    slow::MakeTcp(testing::Frontend4(10), kClient4, kTcpAck, {}, {}, 81, 40000));
  const struct {
    const char* description;
    Bytes frame;
    DropReason reason;
  } rows[] = {
      {"wrong checksum", bad_sum, DropReason::k_bad_icmp},
      {"seven bytes of TCP", ErrorFrame(false, 10, 40000, 7), DropReason::k_bad_embedded},
      {"TTL 1", ErrorFrame(false, 10, 40000, 8, 1), DropReason::k_ttl_expired},
      {"a port that no frontend has",
       slow::Ethernet(kEtherTypeIpv4) + slow::MakeIp4({.source = kRouter4,
                                                       .destination = testing::Frontend4(10),
                                                       .protocol = kIpProtoIcmp},
                                                      slow::MakeIcmp4(3, 4, 1280, other_port)),
       DropReason::k_no_frontend},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.description);
    const PacketResult fate = Process(row.frame);
    EXPECT_EQ(DropReasonName(fate.reason), DropReasonName(row.reason));
    EXPECT_TRUE(made_.empty());  // no ICMP error about an ICMP error
  }
}

TEST_F(IcmpErrorsTest, AreReadFromSeveralSegments) {
  std::vector<Buffer> buffers = {Buffer::Split(ErrorFrame(false, 22, 40000, 500), 392),
                                 Buffer::Split(ErrorFrame(true, 24, 40000, 500), 392)};
  const std::vector<PacketResult> fates = Process(buffers);
  ASSERT_EQ(fates[0].verdict, Verdict::kForward) << DropReasonName(fates[0].reason);
  EXPECT_EQ(Behind(fates[0].frame, 14 + 32), ErrorPacket(false, 22, 40000, 500));
  buffers_.can_gather = false;
  buffers = {Buffer::Split(ErrorFrame(false, 22, 40000, 500), 392)};
  EXPECT_EQ(Process(buffers)[0].reason, DropReason::k_bad_icmp);
}

}  // namespace
}  // namespace fairlead
