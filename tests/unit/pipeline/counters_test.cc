// The counters of services and backends. Also checks that no packet allocates memory.
#include <map>

#include "tests/unit/pipeline/allocation_count.h"
#include "tests/unit/pipeline/fixture.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::Ip4;
using slow::operator+;
using testing::MakeBackend;
using testing::MakeService;
using testing::PacketResult;
using testing::PipelineFixture;

constexpr uint32_t kBackends = 4;

Bytes Tcp(const Bytes& client, uint16_t client_port, uint8_t flags, const Bytes& frontend,
          uint16_t port = 80, uint8_t ttl = 64) {
  return slow::Ethernet(kEtherTypeIpv4) +
         slow::MakeIp4(
             {.source = client, .destination = frontend, .protocol = kIpProtoTcp, .ttl = ttl},
             slow::MakeTcp(client, frontend, flags, {}, {}, client_port, port));
}

class CountersTest : public PipelineFixture {
 protected:
  static SnapshotInput Input(HashPolicy policy, Tracking tracking) {
    SnapshotInput input{.generation = 1, .hash_seed = 7, .services = {}};
    std::vector<SnapshotBackend> backends;
    for (uint32_t id = 1; id <= kBackends; ++id) {
      backends.push_back(Resolved(id, static_cast<int>(id)));
    }
    input.services = {MakeService(1, "web", "203.0.113.10:80/tcp", backends)};
    input.services[0].frontends.push_back(Frontend::Parse("203.0.113.10:443/tcp").value());
    input.services[0].frontends.push_back(Frontend::Parse("203.0.113.11:80/tcp").value());
    input.services[0].hash_policy = policy;
    input.services[0].tracking_tcp = tracking;
    return input;
  }

  // The last byte of the MAC that the frame went to: the backend's id.
  static uint32_t BackendOf(const PacketResult& fate) {
    EXPECT_EQ(fate.verdict, Verdict::kForward);
    return fate.frame[5];
  }

  const Bytes client_ = {198, 51, 100, 7};
  const Bytes frontend_ = {203, 0, 113, 10};
  const Bytes second_ = {203, 0, 113, 11};
};

TEST_F(CountersTest, CountsPacketsBytesAndNewFlowsForTheBackendThatGotThem) {
  Use(Input(HashPolicy::kFiveTuple, Tracking::kAll));
  std::map<uint32_t, uint64_t> flows;
  for (uint16_t port = 1; port <= 500; ++port) {
    ++flows[BackendOf(Process(Tcp(client_, port, kTcpSyn, frontend_)))];
    Process(Tcp(client_, port, kTcpAck, frontend_));
  }
  uint64_t packets = 0;
  for (uint32_t id = 1; id <= kBackends; ++id) {
    EXPECT_GT(flows[id], 80u) << id;
    EXPECT_EQ(CountersOf(id).new_flows, flows[id]) << id;
    EXPECT_EQ(CountersOf(id).packets, 2 * flows[id]) << id;
    EXPECT_EQ(CountersOf(id).bytes, 2 * 40 * flows[id]) << id;
    packets += CountersOf(id).packets;
  }
  EXPECT_EQ(packets, 1000u);
  EXPECT_EQ(CountersOf("web").packets, 1000u);
  EXPECT_EQ(CountersOf("web").bytes, 40'000u);
  EXPECT_EQ(counters_.new_flows, 500u);
  EXPECT_EQ(counters_.totals.rx_packets, 1000u);
  EXPECT_EQ(counters_.totals.rx_bytes, 54'000u);
}

TEST_F(CountersTest, CountsAServicesDropsOnlyOnceTheServiceIsKnown) {
  Use(Input(HashPolicy::kFiveTuple, Tracking::kNone));
  Process(Tcp(client_, 1, kTcpSyn, frontend_, 80, 1));  // ttl_expired
  Process(Tcp(client_, 1, kTcpSyn, frontend_, 81));     // no_frontend
  Process(Tcp(client_, 1, kTcpSyn, frontend_));
  EXPECT_EQ(CountersOf("web").drops, 1u);
  EXPECT_EQ(CountersOf("web").packets, 1u);
}

TEST_F(CountersTest, RecordsNothingWithoutTracking) {
  Use(Input(HashPolicy::kFiveTuple, Tracking::kNone));
  context_.flows = nullptr;
  for (uint16_t port = 1; port <= 100; ++port) Process(Tcp(client_, port, kTcpSyn, frontend_));
  EXPECT_EQ(counters_.new_flows, 0u);
  EXPECT_EQ(CountersOf("web").packets, 100u);
}

TEST_F(CountersTest, CountsEvictionsWhenTheFlowTableIsFull) {
  Use(Input(HashPolicy::kFiveTuple, Tracking::kAll));
  for (uint32_t flow = 0; flow < 3 * 4096; ++flow) {
    const Bytes client = {198, 51, static_cast<uint8_t>(flow >> 8), static_cast<uint8_t>(flow)};
    Process(Tcp(client, 1000, kTcpSyn, frontend_));
  }
  EXPECT_EQ(counters_.new_flows + counters_.untracked, 3u * 4096);
  EXPECT_GE(counters_.evicted, 2u * 4096);
}

struct TrackingCase {
  HashPolicy policy;
  Tracking tracking;
};

// Under every policy, old connections stay on their backend and new ones get the new owner.
TEST_F(CountersTest, KeepsFlowsOnTheirBackendWhenTheirSlotChangesItsOwner) {
  for (const TrackingCase& row : {TrackingCase{HashPolicy::kFiveTuple, Tracking::kAll},
                                  TrackingCase{HashPolicy::kFiveTuple, Tracking::kAdaptive},
                                  TrackingCase{HashPolicy::kThreeTuple, Tracking::kAdaptive},
                                  TrackingCase{HashPolicy::kSourceIp, Tracking::kAll},
                                  TrackingCase{HashPolicy::kSourceIp, Tracking::kAdaptive}}) {
    SCOPED_TRACE(static_cast<int>(row.policy));
    const auto client = [](int n) { return Bytes{198, 51, 100, static_cast<uint8_t>(n % 50)}; };
    const auto port = [](int n) { return static_cast<uint16_t>(1000 + n); };
    tables_.reset();
    SnapshotInput input = Input(row.policy, row.tracking);
    Use(input);
    std::vector<uint32_t> before;
    for (int n = 0; n < 200; ++n) {
      before.push_back(BackendOf(Process(Tcp(client(n), port(n), kTcpSyn, frontend_))));
    }
    input.generation = 2;
    input.services[0].backends[0].state = BackendState::kDraining;
    Use(input);
    for (int n = 0; n < 200; ++n) {
      // In between, the same client opens a new connection and closes it.
      EXPECT_NE(BackendOf(Process(Tcp(client(n), port(n + 200), kTcpSyn, frontend_))), 1u);
      EXPECT_NE(BackendOf(Process(Tcp(client(n), port(n + 200), kTcpFin, frontend_))), 1u);
      EXPECT_EQ(BackendOf(Process(Tcp(client(n), port(n), kTcpAck, frontend_))),
                before[static_cast<size_t>(n)]);
    }
  }
}

struct PolicyCase {
  HashPolicy policy;
  bool ports_matter;
  bool frontend_matters;
};

TEST_F(CountersTest, SelectsByTheFieldsOfTheHashPolicy) {
  for (const PolicyCase& row : {PolicyCase{HashPolicy::kFiveTuple, true, true},
                                PolicyCase{HashPolicy::kThreeTuple, false, true},
                                PolicyCase{HashPolicy::kSourceIp, false, false}}) {
    SCOPED_TRACE(static_cast<int>(row.policy));
    Use(Input(row.policy, Tracking::kNone));
    uint32_t port_differs = 0;
    uint32_t frontend_differs = 0;
    for (uint8_t host = 1; host <= 100; ++host) {
      const Bytes client = {198, 51, 100, host};
      const uint32_t first = BackendOf(Process(Tcp(client, 1000, kTcpSyn, frontend_)));
      port_differs += BackendOf(Process(Tcp(client, 1001, kTcpSyn, frontend_))) != first;
      port_differs += BackendOf(Process(Tcp(client, 1000, kTcpSyn, frontend_, 443))) != first;
      frontend_differs += BackendOf(Process(Tcp(client, 1000, kTcpSyn, second_))) != first;
    }
    // With four backends, three of four flows change the backend if the policy hashes the field.
    EXPECT_EQ(port_differs > 100, row.ports_matter) << port_differs;
    EXPECT_EQ(port_differs == 0, !row.ports_matter) << port_differs;
    EXPECT_EQ(frontend_differs > 50, row.frontend_matters) << frontend_differs;
    EXPECT_EQ(frontend_differs == 0, !row.frontend_matters) << frontend_differs;
  }
}

TEST_F(CountersTest, AllocatesNothingPerPacket) {
  Use(Input(HashPolicy::kThreeTuple, Tracking::kAll));
  const Bytes broadcast_arp = slow::Ethernet(kEtherTypeArp) +
                              Bytes{0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2} + client_ + Bytes(6) +
                              frontend_;
  const Bytes ping =
      slow::Ethernet(kEtherTypeIpv4) +
      slow::MakeIp4({.protocol = kIpProtoIcmp}, slow::MakeIcmp4(kIcmpEchoRequest, 0, 1, Bytes(8)));
  std::vector<testing::Buffer> buffers;
  for (uint16_t i = 0; i < kMaxBurst; ++i) {
    switch (i % 4) {
      case 0:
        buffers.emplace_back(broadcast_arp);
        break;
      case 1:
        buffers.emplace_back(ping);
        break;
      case 2:
        buffers.emplace_back(Tcp(client_, i, kTcpSyn, frontend_));
        break;
      default:
        buffers.emplace_back(Tcp({198, 51, 100, static_cast<uint8_t>(i)}, i, 0, frontend_, i));
    }
  }
  Process(buffers);  // fills burst_, and initialises what is initialised on first use
  const uint64_t before = testing::AllocationCount();
  ProcessBurst(context_, burst_);
  EXPECT_EQ(testing::AllocationCount(), before);
  { const Bytes counted(1); }  // the counter works
  EXPECT_EQ(testing::AllocationCount(), before + 1);
}

}  // namespace
}  // namespace fairlead
