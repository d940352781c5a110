// Tests a mode that the product does not have (forward_mode.cc) in every step: JSON, rules,
// snapshot, tables, lookup, select, rewrite on both paths, errors, explain.
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/intent/derive.h"
#include "lib/intent/json.h"
#include "lib/mode/mode.h"
#include "lib/snapshot/validator.h"
#include "lib/table/explain.h"
#include "lib/table/explain_json.h"
#include "tests/unit/pipeline/modes.h"

namespace fairlead::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr auto kForward = static_cast<ForwardingMode>(4);

nlohmann::json ServiceJson(const nlohmann::json& more = nlohmann::json::object()) {
  nlohmann::json json = {{"name", "web"},
                         {"frontends", {"203.0.113.30:80/tcp", "[2001:db8::30]:80/tcp"}},
                         {"forwarding", "forward"},
                         {"backends", {"10.0.0.8"}}};
  json.update(more);
  return json;
}

TEST(ForwardModeIntent, IsReadAndWrittenByItsName) {
  const auto service = ServiceFromJson(ServiceJson());
  ASSERT_TRUE(service.ok()) << service.status().message();
  EXPECT_EQ(service->forwarding, kForward);
  const nlohmann::json json = ServiceToJson(*service);
  EXPECT_EQ(json["forwarding"], "forward");
  for (const ModeSetting& setting : kModeSettings) EXPECT_FALSE(json.contains(setting.name));
}

TEST(ForwardModeIntent, RefusesTheSettingsOfOtherModes) {
  for (const auto& [field, value, mode] :
       {std::tuple<const char*, nlohmann::json, const char*>("gue_port", 6080, "gue"),
        {"second_chance", true, "gue"},
        {"mss_clamp", true, "nat"}}) {
    const auto service = ServiceFromJson(ServiceJson({{field, value}}));
    ASSERT_FALSE(service.ok());
    EXPECT_THAT(service.status().message(),
                EndsWith("needs forwarding: " + std::string(mode) + ", but it is forward"));
  }
}

TEST(ForwardModeIntent, RefusesAnotherPort) {
  const auto service = ServiceFromJson(ServiceJson({{"backends", {"10.0.0.8:8080"}}}));
  ASSERT_FALSE(service.ok());
  EXPECT_THAT(service.status().message(), HasSubstr("another port needs nat"));
}

class ForwardModeTest : public PipelineFixture {
 protected:
  // Makes the input of the tables from JSON. `vlan` is the VLAN of the next hop. With a VLAN, no
  // packet takes the fast path.
  SnapshotInput Input(uint16_t vlan = 0) {
    IntentSpec intent;
    intent.services = {ServiceFromJson(ServiceJson()).value()};
    SnapshotInput input = DeriveSnapshot(intent, 1, OfflineObservations(intent));
    input.services[0].backends[0].next_hop = Resolved(1, 8, "", vlan).next_hop;
    return input;
  }

  static Bytes Expected(Bytes frame) {
    const Bytes macs = {2, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0, 1};
    std::copy(macs.begin(), macs.end(), frame.begin());
    return frame;
  }
};

TEST_F(ForwardModeTest, IsAcceptedInASnapshot) {
  const SnapshotImage image = BuildSnapshot(Input()).value();
  EXPECT_TRUE(ValidateSnapshot(image.bytes()).ok());
  EXPECT_EQ(&ModeOf(SnapshotView(image.bytes()).services()[0]), &ModeOf(kForward));
}

TEST_F(ForwardModeTest, ForwardsABurstOnTheFastPathAndChangesOnlyTheMacs) {
  Use(Input());
  EXPECT_NE(tables_->backends()[0].fast_path, FastPath::kNone);
  std::vector<Bytes> frames;
  std::vector<Buffer> buffers;
  for (uint32_t i = 0; i < kMaxBurst; ++i) {
    frames.push_back(MakeFrame({.v6 = i % 2 == 1,
                                .frontend = 30,
                                .ttl = static_cast<uint8_t>(1 + i),
                                .client_port = static_cast<uint16_t>(1000 + i)}));
    buffers.emplace_back(frames.back());
  }
  const std::vector<PacketResult> fates = Process(buffers);
  for (uint32_t i = 0; i < kMaxBurst; ++i) {
    EXPECT_EQ(fates[i].verdict, Verdict::kForward);
    EXPECT_EQ(fates[i].frame, Expected(frames[i]));
  }
  EXPECT_EQ(CountersOf("web").packets, kMaxBurst);
}

TEST_F(ForwardModeTest, RewritesAPacketOnTheSlowPathInTheSameManner) {
  Use(Input(/*vlan=*/42));
  EXPECT_EQ(tables_->backends()[0].fast_path, FastPath::kNone);
  const Bytes frame = MakeFrame({.frontend = 30, .ttl = 1});
  const PacketResult fate = Process(frame);
  EXPECT_EQ(fate.verdict, Verdict::kForward);
  const Bytes tag = {0x81, 0, 0, 42};
  EXPECT_EQ(fate.frame, slow::Slice(Expected(frame), 0, 12) + tag + Behind(frame, 12));
}

TEST_F(ForwardModeTest, ReportsTheMtuOfTheEgressPort) {
  Use(Input());
  const PacketResult fate = Process(MakeFrame({.frontend = 30, .payload = 1500}));
  EXPECT_EQ(fate.reason, DropReason::k_too_big);
  ASSERT_EQ(made_.size(), 1u);
  EXPECT_EQ(slow::Slice(made_[0].frame, 14 + 20 + 6, 2), (Bytes{0x05, 0xdc}));  // 1500
  EXPECT_EQ(CountersOf("web").drops, 1u);
}

TEST_F(ForwardModeTest, FragmentsAPacketWithoutDf) {
  Use(Input());
  const PacketResult fate = Process(MakeFrame({.frontend = 30, .payload = 1500, .fragment = 0}));
  EXPECT_EQ(fate.verdict, Verdict::kForward);
  ASSERT_EQ(made_.size(), 1u);
  EXPECT_EQ(slow::Slice(made_[0].frame, 0, 12), slow::Slice(Expected(fate.frame), 0, 12));
  EXPECT_EQ(fate.frame[14 + 8], 64) << "the TTL";
}

TEST_F(ForwardModeTest, IsDescribedByExplain) {
  const SnapshotImage image = BuildSnapshot(Input()).value();
  const FlowKey key =
      FlowKey::Make(Address("198.51.100.7"), 40000, Address("203.0.113.30"), 80, kIpProtoTcp);
  const Explanation explanation =
      Explainer::Make(SnapshotView(image.bytes()), key).value().Explain({}, {});
  EXPECT_EQ(explanation.verdict, Verdict::kForward);
  EXPECT_THAT(explanation.why, EndsWith(" Forwarded to 10.0.0.8 as it is."));
  EXPECT_EQ(ExplanationToJson(explanation)["forwarding"], "forward");
}

}  // namespace
}  // namespace fairlead::testing
