#include "controlplane/core/status_board.h"

#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

class StatusBoardTest : public CoreTest {
 protected:
  void SetUp() override {
    CoreTest::SetUp();
    ASSERT_TRUE(Apply(AddService(ParseServiceSpec(
                          R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
                              "backends": ["10.0.0.1", "10.0.0.2"]})")))
                    .ok());
  }
};

TEST_F(StatusBoardTest, SinceStaysWhenTheHealthStateStays) {
  SetHealth("web", "10.0.0.1", HealthState::kHealthy);
  const int64_t since = StatusOf("web", "10.0.0.1").health.since_ms;
  clock_.Advance(std::chrono::seconds(5));
  SetHealth("web", "10.0.0.1", HealthState::kHealthy, CheckOutcome::kNoCheck);
  EXPECT_EQ(StatusOf("web", "10.0.0.1").health.since_ms, since);
  SetHealth("web", "10.0.0.1", HealthState::kUnhealthy, CheckOutcome::kFailed);
  EXPECT_EQ(StatusOf("web", "10.0.0.1").health.since_ms, since + 5000);
}

TEST_F(StatusBoardTest, IsCompleteWhenEveryBackendHasAHealthStateAndANextHop) {
  EXPECT_FALSE(board_->complete());
  const SnapshotNextHop hop{*MacAddress::Parse("02:00:00:00:00:01"), 0, "eth0"};
  for (const char* endpoint : {"10.0.0.1", "10.0.0.2"}) {
    SetHealth("web", endpoint, HealthState::kUnhealthy);
    EXPECT_FALSE(board_->complete());
    board_->SetNextHop(Backend("web", endpoint)->id, hop);
  }
  EXPECT_TRUE(board_->complete());
  board_->SetClientNextHop(Family::kIpv4, std::nullopt, /*waiting=*/true);
  EXPECT_FALSE(board_->complete());
  board_->SetClientNextHop(Family::kIpv4, std::nullopt, /*waiting=*/false);
  EXPECT_TRUE(board_->complete());
  board_->SetNextHop(Backend("web", "10.0.0.1")->id, std::nullopt);
  EXPECT_FALSE(board_->complete());
  ASSERT_TRUE(Apply(RemoveBackend("web", ParseEndpoint("10.0.0.1"))).ok());
  EXPECT_TRUE(board_->complete()) << "a removed backend must not count";
}

TEST_F(StatusBoardTest, ReportsTheChangesSinceAPosition) {
  const uint64_t start = board_->next_change();
  const uint32_t id = Backend("web", "10.0.0.1")->id;
  SetHealth("web", "10.0.0.1", HealthState::kHealthy);
  SetHealth("web", "10.0.0.1", HealthState::kHealthy);  // no change
  board_->SetDrain(id, {.drain_revision = 2});
  board_->SetDrain(id, {.drain_revision = 2, .remaining_flows = 7});
  std::vector<StatusBoard::Facet> facets;
  ASSERT_TRUE(board_->VisitChangesSince(start, [&](const StatusBoard::Change& change) {
    EXPECT_EQ(change.backend_id, id);
    facets.push_back(change.facet);
  }));
  EXPECT_EQ(facets, (std::vector{StatusBoard::Facet::kHealth, StatusBoard::Facet::kDrain,
                                 StatusBoard::Facet::kFlows}));
  EXPECT_EQ(board_->running_drains(), 1U);
  for (int i = 0; i < 70'000; ++i) {
    board_->SetHealth(id, i % 2 == 0 ? HealthState::kUnhealthy : HealthState::kHealthy, {});
  }
  EXPECT_FALSE(board_->VisitChangesSince(start, [](const auto&) {}))
      << "changes that old are no longer kept";
}

TEST_F(StatusBoardTest, AProbeThatIsNotMadeIsAChangeOnlyOnce) {
  const uint32_t id = Backend("web", "10.0.0.1")->id;
  uint64_t next = board_->next_change();
  const auto facets = [&] {
    std::vector<StatusBoard::Facet> all;
    EXPECT_TRUE(board_->VisitChangesSince(std::exchange(next, board_->next_change()),
                                          [&](const auto& each) { all.push_back(each.facet); }));
    return all;
  };
  const std::vector once = {StatusBoard::Facet::kProbe};
  const auto reason = [](const char* text) { return std::make_shared<const std::string>(text); };
  board_->SetProbe(id, {});
  EXPECT_TRUE(facets().empty()) << "the results of probes are not changes";
  board_->SetProbeNotMade(id, reason("port wan has no link"));
  EXPECT_EQ(facets(), once);
  board_->SetProbeNotMade(id, reason("port wan has no link"));
  EXPECT_TRUE(facets().empty());
  board_->SetProbeNotMade(id, reason("the dataplane is away"));
  EXPECT_EQ(facets(), once);
  board_->SetProbe(id, {});
  EXPECT_EQ(facets(), once);
  board_->SetProbe(id, {});
  EXPECT_TRUE(facets().empty());
}

TEST_F(StatusBoardTest, ANewListOfLeftOutBackendsReplacesTheLastOne) {
  const uint32_t first = Backend("web", "10.0.0.1")->id;
  const uint32_t second = Backend("web", "10.0.0.2")->id;
  EXPECT_EQ(board_->SetLeftOut({{first, LeftOut::k_interface_no_port}}), std::vector{first});
  EXPECT_EQ(board_->SetLeftOut({{first, LeftOut::k_interface_no_port}}), std::vector<uint32_t>());
  EXPECT_EQ(board_->SetLeftOut({{second, LeftOut::k_interface_no_port}}),
            (std::vector{first, second}));
  EXPECT_EQ(StatusOf("web", "10.0.0.1").left_out, LeftOut::kNo);
}

TEST_F(StatusBoardTest, ABackendBehindAGatewayIsLeftOutWhateverTheDataplaneReports) {
  const uint32_t first = Backend("web", "10.0.0.1")->id;
  const uint32_t second = Backend("web", "10.0.0.2")->id;
  board_->SetBehindGateway(first, true);
  EXPECT_EQ(StatusOf("web", "10.0.0.1").left_out, LeftOut::k_behind_gateway);
  EXPECT_FALSE(board_->dataplane_leaves_out());
  EXPECT_EQ(board_->SetLeftOut({}), std::vector<uint32_t>());
  EXPECT_EQ(board_->SetLeftOut(
                {{first, LeftOut::k_interface_no_port}, {second, LeftOut::k_interface_no_port}}),
            std::vector{second});
  EXPECT_EQ(board_->left_out(), (LeftOutBackends{{first, LeftOut::k_behind_gateway},
                                                 {second, LeftOut::k_interface_no_port}}));
  board_->SetBehindGateway(first, false);
  EXPECT_EQ(StatusOf("web", "10.0.0.1").left_out, LeftOut::k_interface_no_port);
  EXPECT_EQ(board_->SetLeftOut({}).size(), 2U);
  EXPECT_TRUE(board_->left_out().empty());

  board_->SetBehindGateway(first, true);
  ASSERT_TRUE(Apply(RemoveBackend("web", ParseEndpoint("10.0.0.1"))).ok());
  EXPECT_TRUE(board_->left_out().empty()) << "a backend that is gone";
  board_->SetBehindGateway(first, true);
  EXPECT_TRUE(board_->left_out().empty());
}

}  // namespace
}  // namespace fairlead
