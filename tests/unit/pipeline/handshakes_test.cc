// Followed TCP handshakes: which flows are followed, what counts as an answer, and when a handshake
// counts as unanswered. Also that following changes no packet.
#include <random>

#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::Buffer;
using testing::MakeFrame;
using testing::MakeService;
using testing::ModesFixture;
using testing::PacketResult;
using testing::PipelineFixture;

constexpr uint64_t kSeed = 7;
constexpr uint32_t kFollowedBackends = 4;
constexpr uint32_t kExpiryCalls = 16;  // a round of the table

struct Flow {
  Bytes client = {198, 51, 100, 7};
  uint16_t port = 0;
};

Bytes Frame(const Flow& flow, uint8_t flags, uint16_t frontend_port = 80) {
  const Bytes frontend = {203, 0, 113, 10};
  return slow::Ethernet(kEtherTypeIpv4) +
         slow::MakeIp4(
             {.source = flow.client, .destination = frontend, .protocol = kIpProtoTcp},
             slow::MakeTcp(flow.client, frontend, flags, {}, {}, flow.port, frontend_port));
}

FlowHash HashOf(const Flow& flow, uint64_t seed = kSeed) {
  const auto client = IpAddress::FromV4(std::span<const uint8_t, 4>(flow.client.data(), 4));
  const IpAddress frontend = IpAddress::Parse("203.0.113.10").value();
  return HashFlow(FlowKey::Make(client, flow.port, frontend, 80, kIpProtoTcp), seed);
}

// The flows of a client that are followed, in the order of their ports.
std::vector<Flow> SampledFlows(const Bytes& client = {198, 51, 100, 7}) {
  std::vector<Flow> flows;
  for (uint32_t port = 1; port < 65536; ++port) {
    const Flow flow{client, static_cast<uint16_t>(port)};
    if (IsSampled(HashOf(flow))) flows.push_back(flow);
  }
  return flows;
}

class HandshakesTest : public PipelineFixture {
 protected:
  void SetUp() override { Use(Input()); }

  static SnapshotInput Input() {
    SnapshotInput input{.generation = 1, .hash_seed = kSeed, .services = {}};
    std::vector<SnapshotBackend> backends;
    for (uint32_t id = 1; id <= kFollowedBackends; ++id) {
      backends.push_back(Resolved(id, static_cast<int>(id)));
    }
    input.services = {MakeService(1, "web", "203.0.113.10:80/tcp", backends)};
    input.services[0].frontends.push_back(Frontend::Parse("203.0.113.10:80/udp").value());
    input.services[0].tracking_tcp = Tracking::kNone;
    input.services[0].tracking_udp = Tracking::kNone;
    input.services[0].flags = kServiceFollowHandshakes;
    return input;
  }

  void Send(const Flow& flow, uint8_t flags) { Process(Frame(flow, flags)); }
  void ExpireAll() {
    for (uint32_t call = 0; call < kExpiryCalls; ++call) ExpireHandshakes(context_);
  }
  // Of all backends: handshakes that ended, and those of them that were not answered.
  std::pair<uint64_t, uint64_t> Counts() const {
    std::pair<uint64_t, uint64_t> sum;
    for (const BackendEntry& backend : tables_->backends()) {
      const HandshakeCounters& counters = counters_.handshakes(backend.counter_index);
      sum.first += counters.sampled;
      sum.second += counters.unanswered;
    }
    return sum;
  }
  static std::pair<uint64_t, uint64_t> Are(uint64_t sampled, uint64_t unanswered) {
    return {sampled, unanswered};
  }

  const std::vector<Flow> flows_of_client_ = SampledFlows();
  const Flow flow_ = flows_of_client_[0];
};

TEST_F(HandshakesTest, FollowsOneFlowIn64) {
  EXPECT_GT(flows_of_client_.size(), 65535u / 64 * 8 / 10);
  EXPECT_LT(flows_of_client_.size(), 65535u / 64 * 12 / 10);
  for (uint16_t port = 1; port <= 20'000; ++port) {
    Send({.port = port}, kTcpSyn);
    Send({.port = port}, kTcpAck);
  }
  const auto expected = static_cast<uint64_t>(std::ranges::count_if(
      flows_of_client_, [](const Flow& flow) { return flow.port <= 20'000; }));
  EXPECT_EQ(Counts(), Are(expected, 0));
  EXPECT_EQ(handshakes_.waiting(), 0u);
}

TEST_F(HandshakesTest, CountsForTheBackendThatGotTheSyn) {
  for (const Flow& flow : flows_of_client_) {
    const uint32_t backend_id = Process(Frame(flow, kTcpSyn)).frame[5];
    const uint32_t index = tables_->FindBackend(backend_id)->counter_index;
    const uint64_t before = counters_.handshakes(index).sampled;
    Send(flow, kTcpAck);
    EXPECT_EQ(counters_.handshakes(index).sampled, before + 1);
  }
}

// A client that never asked resets an answer to a forged SYN. So the backend did answer.
TEST_F(HandshakesTest, CountsAnyPacketThatIsNoSynAsAnswer) {
  uint64_t answered = 0;
  for (const int flags : {int{kTcpAck}, int{kTcpRst}, kTcpRst | kTcpAck, kTcpFin | kTcpAck,
                          kTcpAck | 8, int{kTcpFin}}) {
    Send(flow_, kTcpSyn);
    EXPECT_EQ(handshakes_.waiting(), 1u);
    Send(flow_, static_cast<uint8_t>(flags));
    EXPECT_EQ(Counts(), Are(++answered, 0)) << flags;
    Send(flow_, kTcpAck);  // counts once
    EXPECT_EQ(Counts(), Are(answered, 0));
  }
}

TEST_F(HandshakesTest, FindsTheAnswerInTheBurstOfTheSyn) {
  std::vector<Buffer> buffers = {Buffer(Frame(flow_, kTcpSyn)), Buffer(Frame(flow_, kTcpAck))};
  Process(buffers);
  EXPECT_EQ(Counts(), Are(1, 0));
}

TEST_F(HandshakesTest, CountsAHandshakeAsUnansweredAfterThreeSeconds) {
  Send(flow_, kTcpSyn);
  context_.now_tick += kAnswerTicks;
  ExpireAll();
  EXPECT_EQ(Counts(), Are(0, 0));
  context_.now_tick += 1;
  ExpireAll();
  EXPECT_EQ(Counts(), Are(1, 1));
  ExpireAll();
  Send(flow_, kTcpAck);  // too late
  EXPECT_EQ(Counts(), Are(1, 1));
}

TEST_F(HandshakesTest, TakesAnAnswerUpToThreeSeconds) {
  Send(flow_, kTcpSyn);
  context_.now_tick += kAnswerTicks;
  Send(flow_, kTcpAck);
  EXPECT_EQ(Counts(), Are(1, 0));
  Send(flow_, kTcpSyn);
  context_.now_tick += kAnswerTicks + 1;
  Send(flow_, kTcpAck);  // too late, though Expire was not called yet
  ExpireAll();
  EXPECT_EQ(Counts(), Are(2, 1));
}

// A client sends its SYN again after 1, 3, 7, 15 and 31 s. That is one handshake.
TEST_F(HandshakesTest, CountsRepeatedSynsOnce) {
  uint32_t at_s = 0;
  const uint32_t start = context_.now_tick;
  Send(flow_, kTcpSyn);
  for (const uint32_t again_s : {1U, 3U, 7U, 15U, 31U}) {
    for (; at_s < again_s; ++at_s) {
      context_.now_tick = start + at_s * kTicksPerSecond;
      ExpireAll();
    }
    context_.now_tick = start + again_s * kTicksPerSecond;
    Send(flow_, kTcpSyn);
  }
  context_.now_tick += kAnswerTicks + 1;
  ExpireAll();
  EXPECT_EQ(Counts(), Are(1, 1));
  // Much later, the port is used again.
  context_.now_tick += 60 * kTicksPerSecond;
  Send(flow_, kTcpSyn);
  Send(flow_, kTcpAck);
  EXPECT_EQ(Counts(), Are(2, 1));
}

// A repeated SYN that the backend answers in time is an answer.
TEST_F(HandshakesTest, AcceptsTheAnswerToARepeatedSyn) {
  Send(flow_, kTcpSyn);
  context_.now_tick += kTicksPerSecond;
  Send(flow_, kTcpSyn);
  context_.now_tick += 1;
  Send(flow_, kTcpAck);
  EXPECT_EQ(Counts(), Are(1, 0));
}

TEST_F(HandshakesTest, FollowsNothingWithoutTheFlag) {
  SnapshotInput input = Input();
  input.services[0].flags = 0;
  Use(input);
  for (const Flow& flow : flows_of_client_) Send(flow, kTcpSyn);
  EXPECT_EQ(handshakes_.waiting(), 0u);
  // Another service's flag does not concern it.
  input.services.push_back(MakeService(2, "web2", "203.0.113.20:80/tcp", {Resolved(9, 9)}));
  input.services[1].flags = kServiceFollowHandshakes;
  input.generation = 2;
  Use(input);
  EXPECT_TRUE(tables_->follows_handshakes());
  for (const Flow& flow : flows_of_client_) Send(flow, kTcpSyn);
  EXPECT_EQ(handshakes_.waiting(), 0u);
}

TEST_F(HandshakesTest, FollowsNoUdpAndNoBackendWithoutNextHop) {
  const Bytes frontend = {203, 0, 113, 10};
  const Bytes client = {198, 51, 100, 7};
  for (uint16_t port = 1; port <= 5000; ++port) {
    Process(slow::Ethernet(kEtherTypeIpv4) +
            slow::MakeIp4({.source = client, .destination = frontend, .protocol = kIpProtoUdp},
                          slow::MakeUdp(client, frontend, {}, port, 80)));
  }
  EXPECT_EQ(handshakes_.waiting(), 0u);
  SnapshotInput input = Input();
  for (SnapshotBackend& backend : input.services[0].backends) backend.next_hop.reset();
  input.generation = 2;
  Use(input);
  for (const Flow& flow : flows_of_client_) Send(flow, kTcpSyn);
  EXPECT_EQ(handshakes_.waiting(), 0u);
  EXPECT_EQ(Drops(DropReason::k_no_next_hop), flows_of_client_.size());
}

// The counters' index of a deleted backend may belong to another one when the handshake ends.
TEST_F(HandshakesTest, ForgetsHandshakesOfDeletedBackendsAndServicesThatStopAsking) {
  for (const Flow& flow : flows_of_client_) Send(flow, kTcpSyn);
  const uint32_t waiting = handshakes_.waiting();
  ASSERT_GT(waiting, 400u);
  SnapshotInput input = Input();
  input.generation = 2;
  input.services[0].backends.resize(1);
  Use(input);
  context_.now_tick += kAnswerTicks + 1;
  ExpireAll();
  EXPECT_EQ(handshakes_.waiting(), 0u);
  const uint64_t of_the_rest = Counts().first;
  EXPECT_GT(of_the_rest, 0u);
  EXPECT_LT(of_the_rest, waiting / 2);

  context_.now_tick += 60 * kTicksPerSecond;
  for (const Flow& flow : flows_of_client_) Send(flow, kTcpSyn);
  input.generation = 3;
  input.services[0].flags = 0;
  Use(input);
  context_.now_tick += kAnswerTicks + 1;
  ExpireAll();
  EXPECT_EQ(handshakes_.waiting(), 0u);
  EXPECT_EQ(Counts().first, of_the_rest);
}

// Under another seed, the same flow has another place.
TEST_F(HandshakesTest, ForgetsAllHandshakesWhenTheSeedChanges) {
  for (const Flow& flow : flows_of_client_) Send(flow, kTcpSyn);
  SnapshotInput input = Input();
  input.generation = 2;
  input.hash_seed = kSeed + 1;
  Use(input);
  context_.now_tick += kAnswerTicks + 1;
  ExpireAll();
  EXPECT_EQ(handshakes_.waiting(), 0u);
  EXPECT_EQ(Counts(), Are(0, 0));
}

// One client address makes at most one handshake in 3 s: it always has the same backend.
TEST_F(HandshakesTest, FollowsOneFlowOfAClientAtATimeIfTheClientSelectsTheBackend) {
  for (const HashPolicy policy : {HashPolicy::kSourceIp, HashPolicy::kThreeTuple}) {
    SnapshotInput input = Input();
    input.services[0].hash_policy = policy;
    tables_.reset();
    Use(input);
    handshakes_.Clear();
    for (const Flow& flow : flows_of_client_) Send(flow, kTcpSyn);
    EXPECT_EQ(handshakes_.waiting(), 1u);
  }
}

TEST_F(HandshakesTest, FollowsOneFlowForEachPlace) {
  std::vector<Flow> flows;
  for (uint8_t client = 1; client <= 20; ++client) {
    const std::vector<Flow> more = SampledFlows({198, 51, 100, client});
    flows.insert(flows.end(), more.begin(), more.end());
  }
  for (const Flow& flow : flows) Send(flow, kTcpSyn);
  EXPECT_EQ(handshakes_.waiting(), kHandshakePlaces);
  context_.now_tick += kAnswerTicks + 1;
  ExpireAll();
  EXPECT_EQ(Counts(), Are(kHandshakePlaces, kHandshakePlaces));
  // Places of unanswered flows are free for others.
  for (const Flow& flow : SampledFlows({198, 51, 100, 99})) {
    Send(flow, kTcpSyn);
    Send(flow, kTcpAck);
  }
  EXPECT_GT(Counts().first, kHandshakePlaces + 800);
  EXPECT_EQ(Counts().second, kHandshakePlaces);
}

// A flood of forged addresses looks the same for every backend. So the median of the service is
// high, and no backend is an outlier (outlier_detector.h).
TEST_F(HandshakesTest, SeesAFloodAtAllBackendsAlike) {
  std::mt19937 random(4);
  for (int second = 0; second < 20; ++second) {
    for (int n = 0; n < 20'000; ++n) {
      const auto address = static_cast<uint32_t>(random()) & 0xffffff;
      const Bytes client = {11, static_cast<uint8_t>(address >> 16),
                            static_cast<uint8_t>(address >> 8), static_cast<uint8_t>(address)};
      const Flow flow{client, static_cast<uint16_t>(1 + random() % 65535)};
      if (!IsSampled(HashOf(flow))) continue;
      Send(flow, kTcpSyn);
      // A tenth are real clients, which all backends answer.
      if (n % 10 == 0) Send(flow, kTcpAck);
    }
    context_.now_tick += kTicksPerSecond;
    ExpireAll();
  }
  for (const BackendEntry& backend : tables_->backends()) {
    const HandshakeCounters& counters = counters_.handshakes(backend.counter_index);
    EXPECT_GT(counters.sampled, 300u) << backend.id;
    EXPECT_GT(counters.unanswered * 100, counters.sampled * 80) << backend.id;
    EXPECT_LT(counters.unanswered * 100, counters.sampled * 98) << backend.id;
  }
}

class FollowedModesTest : public ModesFixture {
 protected:
  // Sends random packets of all modes with and without the flag. Returns verdicts and frames.
  std::vector<PacketResult> Run(uint32_t flag) {
    SnapshotInput input = Input();
    for (SnapshotService& service : input.services) service.flags |= flag;
    tables_.reset();
    Use(input);
    counters_.totals = {};
    leaving_ = 0;
    std::mt19937 random(11);
    std::vector<PacketResult> results;
    for (int burst = 0; burst < 300; ++burst) {
      std::vector<Buffer> buffers;
      for (auto n = random() % kMaxBurst + 1; n > 0; --n) buffers.emplace_back(Any(&random));
      for (PacketResult& result : Process(buffers)) results.push_back(std::move(result));
      context_.now_tick += static_cast<uint32_t>(random() % 4);
      ExpireHandshakes(context_);
    }
    return results;
  }
  static Bytes Any(std::mt19937* random) {
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>((*random)()) % n; };
    const testing::ModeRow& row = testing::kModeRows[below(std::size(testing::kModeRows))];
    const bool v6 = row.mode == ForwardingMode::kNat ? row.outer_v6 : below(2) == 1;
    constexpr uint8_t kFlags[] = {kTcpSyn, kTcpAck, kTcpSyn, kTcpRst, kTcpFin | kTcpAck, 0};
    return MakeFrame({.v6 = v6,
                      .frontend = below(20) == 0 ? uint8_t{99} : row.frontend,
                      .protocol = below(8) == 0 ? uint8_t{kIpProtoUdp} : uint8_t{kIpProtoTcp},
                      .flags = kFlags[below(std::size(kFlags))],
                      .payload = below(4) == 0 ? below(1600) : 0,
                      .ttl = below(30) == 0 ? uint8_t{1} : uint8_t{64},
                      .fragment = uint16_t{0},
                      .client_port = static_cast<uint16_t>(1 + below(500))});
  }
};

TEST_F(FollowedModesTest, ChangesNoVerdictAndNoFrame) {
  const std::vector<PacketResult> without = Run(0);
  EXPECT_EQ(handshakes_.waiting(), 0u);
  flows_ = FlowTable::Format(memory_.bytes(), 4096);
  const uint64_t drops_without = counters_.totals.drops[static_cast<size_t>(DropReason::k_too_big)];
  context_.now_tick = 1000;
  const std::vector<PacketResult> with = Run(kServiceFollowHandshakes);
  uint64_t sampled = 0;
  for (const BackendEntry& backend : tables_->backends()) {
    sampled += counters_.handshakes(backend.counter_index).sampled;
  }
  EXPECT_GT(sampled, 10u);
  EXPECT_EQ(counters_.totals.drops[static_cast<size_t>(DropReason::k_too_big)], drops_without);
  ASSERT_EQ(with.size(), without.size());
  for (size_t i = 0; i < with.size(); ++i) {
    ASSERT_EQ(with[i].verdict, without[i].verdict) << i;
    ASSERT_EQ(with[i].reason, without[i].reason) << i;
    ASSERT_EQ(with[i].egress_port, without[i].egress_port) << i;
    ASSERT_EQ(with[i].frame, without[i].frame) << i;
  }
}

}  // namespace
}  // namespace fairlead
