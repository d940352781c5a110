// Tests lib/table/explain.h. They have their own folder because they need whole snapshots.
#include "lib/table/explain.h"

#include <array>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/table/explain_json.h"
#include "tests/unit/snapshot/sample.h"

namespace fairlead {
namespace {

using ::testing::HasSubstr;
using testing::MakeBackend;
using testing::MakeEndpoint;
using testing::MakeFrontend;
using testing::MakeMac;

// Service web: backends 1..4 (10.0.0.1 ... 10.0.0.4) behind eth1, in mode dsr.
SnapshotInput Input() {
  SnapshotService web;
  web.id = 77;
  web.name = "web";
  web.frontends = {MakeFrontend("203.0.113.10:80/tcp"), MakeFrontend("203.0.113.10:53/udp")};
  web.tracking_udp = Tracking::kNone;
  for (uint8_t i = 1; i <= 4; ++i) {
    SnapshotBackend backend;
    backend.id = i;
    backend.endpoint.address = IpAddress::FromV4(std::array<uint8_t, 4>{10, 0, 0, i});
    backend.next_hop = SnapshotNextHop{MakeMac("02:00:00:00:00:01"), 0, "eth1"};
    backend.next_hop->mac.bytes[5] = i;
    web.backends.push_back(backend);
  }
  SnapshotService other = web;
  other.id = 78;
  other.name = "other";
  other.frontends = {MakeFrontend("203.0.113.11:0/tcp")};
  for (SnapshotBackend& backend : other.backends) backend.id += 100;
  return {.generation = 1, .hash_seed = 99, .services = {web, other}};
}

FlowKey Key(const char* source, const char* destination, Protocol protocol = Protocol::kTcp) {
  const Endpoint from = MakeEndpoint(source);
  const Endpoint to = MakeEndpoint(destination);
  return FlowKey::Make(from.address, from.port, to.address, to.port,
                       static_cast<uint8_t>(protocol));
}

Explanation Explain(const SnapshotInput& input, const FlowKey& key,
                    const std::optional<ExplainRecord>& record = std::nullopt,
                    const std::optional<ExplainSlot>& slot = std::nullopt) {
  const SnapshotImage image = BuildSnapshot(input).value();
  const Result<Explainer> explainer = Explainer::Make(SnapshotView(image.bytes()), key);
  EXPECT_TRUE(explainer.ok()) << explainer.status().message();
  return explainer->Explain(record, slot);
}

const FlowKey kWebFlow = Key("198.51.100.7:40000", "203.0.113.10:80");

TEST(Explain, NamesTheOwnerOfTheFlowsSlot) {
  const Explanation explanation = Explain(Input(), kWebFlow);
  EXPECT_EQ(explanation.verdict, Verdict::kForward);
  EXPECT_EQ(explanation.service, "web");
  EXPECT_EQ(explanation.hash, HashFlow(kWebFlow, 99));
  EXPECT_EQ(explanation.slot, SlotIndex(explanation.hash, kDefaultSlotCount));
  EXPECT_EQ(explanation.reason, SelectReason::kNewFlow);
  ASSERT_TRUE(explanation.backend.has_value());
  EXPECT_EQ(explanation.next_hop->mac.bytes[5], explanation.backend->address.bytes()[3]);
  EXPECT_EQ(explanation.next_hop->interface, "eth1");
  EXPECT_THAT(explanation.why, HasSubstr("Service web, slot " + std::to_string(explanation.slot)));
  EXPECT_THAT(explanation.why, HasSubstr("backend " + explanation.backend->ToString()));
}

// The explainer builds a reduced snapshot. Its slots must be those of the whole snapshot.
TEST(Explain, AgreesWithTheTablesOfTheWholeSnapshot) {
  const SnapshotImage image = BuildSnapshot(Input()).value();
  const SnapshotView view(image.bytes());
  const EgressPort ports[] = {{"eth1", {}}};
  CounterIndices backend_indices(64);
  CounterIndices service_indices(64);
  ForwardingTables::BuildStats stats;
  const auto tables =
      ForwardingTables::Build(view, {}, ports, &backend_indices, &service_indices, &stats).value();
  for (uint16_t port = 1; port <= 200; ++port) {
    FlowKey key = FlowKey::Make(MakeEndpoint("198.51.100.7").address, port,
                                MakeEndpoint("203.0.113.11").address, 4711, 6);
    const ServiceEntry& service = tables->services()[tables->frontends().FindDestination(key)];
    const Selection selection =
        ChooseWithoutRecording(*tables, service, SlotAddress(service, HashFlow(key, 99))->load(),
                               {6, 0x02, false}, 0, nullptr);
    const BackendEntry& expected = tables->backends()[selection.backend_index];
    const Explanation explanation = Explainer::Make(view, key)->Explain({}, {});
    EXPECT_EQ(explanation.service, "other");
    EXPECT_EQ(explanation.backend->address.bytes()[3], expected.address[3]) << "port " << port;
  }
}

TEST(Explain, FollowsTheRecordWhateverTheSlotsOwner) {
  for (uint32_t id = 1; id <= 4; ++id) {
    const Explanation explanation = Explain(Input(), kWebFlow, ExplainRecord{id, 1000, 0});
    EXPECT_EQ(explanation.reason, SelectReason::kRecorded);
    EXPECT_EQ(explanation.backend->address.bytes()[3], id);
    EXPECT_EQ(explanation.recorded_backend, explanation.backend);
  }
}

TEST(Explain, IgnoresAnExpiredRecord) {
  const Explanation fresh = Explain(Input(), kWebFlow);
  const Explanation old = Explain(Input(), kWebFlow, ExplainRecord{1, 351'000, 0});
  EXPECT_EQ(old.reason, SelectReason::kReplaced);
  EXPECT_EQ(old.backend, fresh.backend);
}

TEST(Explain, IgnoresARecordOfADeletedBackend) {
  const Explanation explanation = Explain(Input(), kWebFlow, ExplainRecord{42, 0, 0});
  EXPECT_EQ(explanation.reason, SelectReason::kReplaced);
  EXPECT_EQ(explanation.recorded_backend, std::nullopt);
  EXPECT_TRUE(explanation.backend.has_value());
}

TEST(Explain, ADrainingBackendKeepsItsRecordedFlowAndGetsNoNewFlow) {
  SnapshotInput input = Input();
  const uint32_t owner = Explain(input, kWebFlow).backend->address.bytes()[3];
  input.services[0].backends[owner - 1].state = BackendState::kDraining;
  EXPECT_NE(Explain(input, kWebFlow).backend->address.bytes()[3], owner);
  const Explanation recorded = Explain(input, kWebFlow, ExplainRecord{owner, 0, 0});
  EXPECT_EQ(recorded.backend->address.bytes()[3], owner);
}

SnapshotInput AdaptiveInput() {
  SnapshotInput input = Input();
  for (SnapshotService& service : input.services) service.tracking_tcp = Tracking::kAdaptive;
  return input;
}

TEST(Explain, IgnoresTheRecordWhereTheSlotIsSettled) {
  const Explanation fresh = Explain(AdaptiveInput(), kWebFlow);
  for (uint32_t id = 1; id <= 4; ++id) {
    const Explanation recorded = Explain(AdaptiveInput(), kWebFlow, ExplainRecord{id, 1000, 0});
    EXPECT_EQ(recorded.reason, SelectReason::kSlot);
    EXPECT_EQ(recorded.backend, fresh.backend);
  }
}

TEST(Explain, UsesTheSlotStateOfTheDataplane) {
  const ExplainSlot slot{SlotState::kShifting, 2, 3};
  const Explanation fresh = Explain(AdaptiveInput(), kWebFlow, std::nullopt, slot);
  EXPECT_EQ(fresh.backend->address.bytes()[3], 2);
  EXPECT_EQ(fresh.slot_state, SlotState::kShifting);
  const Explanation recorded = Explain(AdaptiveInput(), kWebFlow, ExplainRecord{4, 1000, 0}, slot);
  EXPECT_EQ(recorded.backend->address.bytes()[3], 4);
  // A flow whose record has expired is older than the change.
  const Explanation old = Explain(AdaptiveInput(), kWebFlow, ExplainRecord{4, 351'000, 0}, slot);
  EXPECT_EQ(old.reason, SelectReason::kStable);
  EXPECT_EQ(old.backend->address.bytes()[3], 3);
}

TEST(Explain, ExplainsADropForLackOfABackend) {
  SnapshotInput input = Input();
  for (SnapshotBackend& backend : input.services[0].backends) backend.weight = 0;
  const Explanation explanation = Explain(input, kWebFlow);
  EXPECT_EQ(explanation.verdict, Verdict::kDrop);
  EXPECT_EQ(explanation.drop_reason, DropReason::k_no_backend);
  EXPECT_THAT(explanation.why, ::testing::Not(::testing::HasSubstr("on_no_backend")));
  input.services[0].flags = kServiceResetNoBackend;
  EXPECT_THAT(Explain(input, kWebFlow).why, ::testing::HasSubstr("The client gets a TCP reset"));
  EXPECT_EQ(explanation.backend, std::nullopt);
}

TEST(Explain, ExplainsADropForLackOfANextHop) {
  SnapshotInput input = Input();
  for (SnapshotBackend& backend : input.services[0].backends) backend.next_hop.reset();
  const Explanation explanation = Explain(input, kWebFlow);
  EXPECT_EQ(explanation.verdict, Verdict::kDrop);
  EXPECT_EQ(explanation.drop_reason, DropReason::k_no_next_hop);
  EXPECT_TRUE(explanation.backend.has_value());
  EXPECT_THAT(explanation.why, HasSubstr("next-hop MAC is not known"));
}

TEST(Explain, DistinguishesAFrontendsAddressFromOthers) {
  const Explanation other_port = Explain(Input(), Key("198.51.100.7:1", "203.0.113.10:81"));
  EXPECT_EQ(other_port.verdict, Verdict::kDrop);
  EXPECT_EQ(other_port.drop_reason, DropReason::k_no_frontend);
  const Explanation elsewhere = Explain(Input(), Key("198.51.100.7:1", "203.0.113.99:80"));
  EXPECT_EQ(elsewhere.verdict, Verdict::kToKernel);
  EXPECT_THAT(elsewhere.why, HasSubstr("203.0.113.99"));
}

TEST(Explainer, HasARecordKeyOnlyWhereFlowsAreRecorded) {
  const SnapshotImage image = BuildSnapshot(Input()).value();
  const SnapshotView view(image.bytes());
  const FlowKey udp = Key("198.51.100.7:1", "203.0.113.10:53", Protocol::kUdp);
  const FlowKey elsewhere = Key("198.51.100.7:1", "203.0.113.99:80");
  EXPECT_TRUE(Explainer::Make(view, kWebFlow)->record_key().has_value());
  EXPECT_FALSE(Explainer::Make(view, udp)->record_key().has_value());
  EXPECT_FALSE(Explainer::Make(view, elsewhere)->record_key().has_value());
}

// Each service salts its records. With source-ip, the flows of one client to two services can have
// the same slot, but not the same record.
TEST(Explainer, RecordKeysOfTwoServicesDiffer) {
  SnapshotInput input = Input();
  for (SnapshotService& service : input.services) service.hash_policy = HashPolicy::kSourceIp;
  const SnapshotImage image = BuildSnapshot(input).value();
  const SnapshotView view(image.bytes());
  const Explainer web = Explainer::Make(view, kWebFlow).value();
  const Explainer other =
      Explainer::Make(view, Key("198.51.100.7:40000", "203.0.113.11:80")).value();
  EXPECT_EQ(web.Explain({}, {}).hash.low >> 32, other.Explain({}, {}).hash.low >> 32);
  EXPECT_NE(web.record_key()->tag, other.record_key()->tag);
}

TEST(ExplanationToJson, HasTheFieldsOfTheApi) {
  const nlohmann::json json =
      ExplanationToJson(Explain(Input(), kWebFlow, ExplainRecord{2, 1500, kRecordConfirmed}));
  EXPECT_EQ(json["verdict"], "forward");
  EXPECT_EQ(json["service"], "web");
  EXPECT_EQ(json["backend"], "10.0.0.2");
  EXPECT_EQ(json["drop_reason"], nullptr);
  EXPECT_EQ(json["record"]["backend"], "10.0.0.2");
  EXPECT_EQ(json["record"]["age_ms"], 1500);
  EXPECT_EQ(json["record"]["class"], "new");
  EXPECT_EQ(json["record"]["confirmed"], true);
  EXPECT_EQ(json["record"]["closing"], false);
  EXPECT_EQ(json["next_hop"]["mac"], "02:00:00:00:00:02");
  EXPECT_EQ(json["hash"].get<std::string>().size(), 34U);
}

// Input(), but with service web in `mode`.
SnapshotInput InMode(ForwardingMode mode) {
  SnapshotInput input = Input();
  SnapshotService& web = input.services[0];
  web.mode = mode;
  if (mode == ForwardingMode::kGue) web.gue_port = 7000;
  if (mode == ForwardingMode::kNat) {
    web.frontends.resize(1);
    for (SnapshotBackend& backend : web.backends) backend.endpoint.port = 8080;
  }
  return input;
}

TEST(Explain, SaysWhatTheModeDoesToThePacket) {
  const struct {
    ForwardingMode mode;
    const char* name;
    const char* before;
    const char* after;
  } rows[] = {
      {ForwardingMode::kIpip, "ipip", "Tunnelled to ", " (IP in IP), 20 bytes longer."},
      {ForwardingMode::kGue, "gue", "Tunnelled to ", ":7000 (GUE), 32 bytes longer."},
      {ForwardingMode::kNat, "nat", "Its destination becomes ", "."},
  };
  for (const auto& row : rows) {
    const Explanation explanation = Explain(InMode(row.mode), kWebFlow);
    ASSERT_EQ(explanation.verdict, Verdict::kForward);
    EXPECT_EQ(ExplanationToJson(explanation)["forwarding"], row.name);
    const std::string shown = row.mode == ForwardingMode::kNat
                                  ? explanation.backend->ToString()
                                  : explanation.backend->address.ToString();
    EXPECT_THAT(explanation.why, HasSubstr(row.before + shown + row.after));
  }
  EXPECT_EQ(ExplanationToJson(Explain(Input(), kWebFlow))["forwarding"], "dsr");
}

TEST(Explain, ExplainsRepliesThroughNat) {
  const Explanation reply =
      Explain(InMode(ForwardingMode::kNat), Key("10.0.0.3:8080", "198.51.100.7:40000"));
  EXPECT_EQ(reply.verdict, Verdict::kForward);
  EXPECT_EQ(reply.service, "web");
  EXPECT_EQ(reply.backend->ToString(), "10.0.0.3:8080");
  EXPECT_THAT(reply.why, HasSubstr("its source becomes 203.0.113.10:80"));
  const auto json = ExplanationToJson(reply);
  EXPECT_EQ(json["forwarding"], "nat");
  EXPECT_TRUE(json["slot"].is_null());
  EXPECT_TRUE(json["hash"].is_null());
  // With another port or mode, the packet is no reply. It goes to no frontend, so to the kernel.
  for (const Explanation& other :
       {Explain(InMode(ForwardingMode::kNat), Key("10.0.0.3:8081", "198.51.100.7:40000")),
        Explain(Input(), Key("10.0.0.3:80", "198.51.100.7:40000"))}) {
    EXPECT_EQ(other.verdict, Verdict::kToKernel);
    EXPECT_TRUE(ExplanationToJson(other)["forwarding"].is_null());
  }
}

}  // namespace
}  // namespace fairlead
