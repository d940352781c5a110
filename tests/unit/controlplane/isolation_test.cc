// HealthChecks with IsolationGuard: which failures make backends unhealthy.
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "controlplane/observe/health/checks.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

class IsolationTest : public CoreTest {
 protected:
  static constexpr int kBackends = 5;

  void Open() override {
    CoreTest::Open();
    const auto executor = context_->get_executor();
    guard_ = std::make_unique<IsolationGuard>(
        executor,
        IsolationGuard::Parts{.board = board_.get(),
                              .clock = &system_clock_,
                              .look = [this](IpAddress) -> asio::awaitable<WayState> {
                                ++looks_;
                                co_return way_;
                              },
                              .find = [this](const IpAddress&) { return way_; },
                              .healthy_endpoints = [this] { return checks_->healthy_endpoints(); },
                              .period = milliseconds(5)});
    checks_ = std::make_unique<HealthChecks>(
        executor, board_.get(),
        Probers{{&kTcpCheck,
                 [this](ProbeTarget target) -> asio::awaitable<ProbeAnswer> {
                   const bool fails = failing_.contains(target.address.ToString());
                   co_return ProbeAnswer{fails ? CheckOutcome::kFailed : CheckOutcome::kPassed,
                                         fails ? ECONNREFUSED : 0};
                 }}},
        [this](const IpAddress& address) {
          return no_way_.empty() ? guard_->WhyNoWay(address) : no_way_;
        },
        nullptr, guard_.get());
    guard_->Start();
  }
  void Close() override {
    if (checks_ != nullptr) checks_->Stop();
    if (guard_ != nullptr) guard_->Stop();
    if (context_ != nullptr) {
      context_->restart();
      context_->run_for(std::chrono::seconds(1));
    }
    checks_.reset();
    log_.reset();
    store_.reset();
    context_.reset();
    guard_.reset();
    CoreTest::Close();
  }

  static std::string Number(int i) { return "10.0.0." + std::to_string(i); }
  // Adds a service of five backends, which become healthy.
  void AddFive() {
    ASSERT_TRUE(Apply(AddService(ParseServiceSpec(
                          R"({"name": "web", "frontends": ["203.0.113.1:80/tcp"],
                      "health_check": {"interval": "100ms", "timeout": "50ms", "rise": 1, "fall": 2},
                      "backends": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]})")))
                    .ok());
    checks_->Reconcile(View());
    ASSERT_TRUE(RunUntil([&] { return Count(HealthState::kHealthy) == kBackends; }));
    EXPECT_EQ(checks_->healthy_endpoints(), 5U);
  }
  int Count(HealthState state) const {
    int count = 0;
    for (int i = 1; i <= kBackends; ++i) {
      count += StatusOf("web", Number(i)).health.state == state ? 1 : 0;
    }
    return count;
  }
  void FailAll() {
    for (int i = 1; i <= kBackends; ++i) failing_.insert(Number(i));
  }
  bool IsIsolated() const { return !board_->isolation().lost.empty(); }
  void RunFor(milliseconds time) {
    const SteadyTime later = SteadyNow() + time;
    ASSERT_TRUE(RunUntil([&] { return SteadyNow() >= later; }));
  }

  const Clock system_clock_{};
  WayState way_{{2, *IpAddress::Parse("10.0.0.254")}, WayLoss::kNone, "eth1"};
  std::set<std::string> failing_;
  std::string no_way_;
  int looks_ = 0;
  std::unique_ptr<IsolationGuard> guard_;
  std::unique_ptr<HealthChecks> checks_;
};

TEST_F(IsolationTest, ThreeOfFiveThatFailAreAcceptedAndTold) {
  AddFive();
  failing_ = {Number(1), Number(2), Number(3)};
  ASSERT_TRUE(RunUntil([&] { return Count(HealthState::kUnhealthy) == 3; }));
  EXPECT_EQ(looks_, 3) << "one look for each failure";
  EXPECT_FALSE(IsIsolated());
  EXPECT_EQ(board_->isolation().failed_together_count, 1U);
  EXPECT_EQ(board_->isolation().failed, 3U);
  EXPECT_EQ(board_->isolation().failed_of, 5U);
}

TEST_F(IsolationTest, NoBackendBecomesUnhealthyWhileTheGatewayIsSilent) {
  AddFive();
  way_.loss = WayLoss::kSilent;
  FailAll();
  ASSERT_TRUE(RunUntil([&] { return IsIsolated(); }));
  EXPECT_EQ(board_->isolation().lost[0].state, way_);
  RunFor(milliseconds(700));  // longer than any window
  EXPECT_EQ(Count(HealthState::kHealthy), kBackends);
  ASSERT_TRUE(RunUntil([&] { return StatusOf("web", Number(1)).probe.not_made != nullptr; }));
  EXPECT_EQ(*StatusOf("web", Number(1)).probe.not_made,
            "gateway 10.0.0.254 on eth1 does not answer");
  // The way is back, and two backends do not answer: their failures count from now on.
  failing_ = {Number(4), Number(5)};
  way_.loss = WayLoss::kNone;
  ASSERT_TRUE(RunUntil([&] { return !IsIsolated(); }));
  ASSERT_TRUE(RunUntil([&] { return Count(HealthState::kUnhealthy) == 2; }));
  EXPECT_EQ(Count(HealthState::kHealthy), 3);
}

TEST_F(IsolationTest, OneFailureBehindASilentGatewayIsAcceptedAfterTheWindow) {
  AddFive();
  way_.loss = WayLoss::kSilent;
  failing_ = {Number(1)};
  const SteadyTime start = SteadyNow();
  ASSERT_TRUE(RunUntil([&] { return Count(HealthState::kUnhealthy) == 1; }));
  EXPECT_GE(SteadyNow() - start, milliseconds(200)) << "two intervals";
  EXPECT_FALSE(IsIsolated());
  EXPECT_EQ(board_->isolation().failed_together_count, 0U);
}

TEST_F(IsolationTest, AMissingCarrierOfHalfOfAllIsAnIsolation) {
  AddFive();
  way_.loss = WayLoss::kNoCarrier;
  no_way_ = "eth1 has no carrier";
  FailAll();
  ASSERT_TRUE(RunUntil([&] { return IsIsolated(); }));
  RunFor(milliseconds(300));
  EXPECT_EQ(Count(HealthState::kHealthy), kBackends);
  no_way_ = "";
  failing_.clear();
  way_.loss = WayLoss::kNone;
  ASSERT_TRUE(RunUntil([&] { return !IsIsolated(); }));
  EXPECT_EQ(Count(HealthState::kHealthy), kBackends);
}

TEST_F(IsolationTest, ABackendThatWasNeverHealthyIsNotHeld) {
  way_.loss = WayLoss::kSilent;
  FailAll();
  ASSERT_TRUE(Apply(AddService(ParseServiceSpec(
                        R"({"name": "web", "frontends": ["203.0.113.1:80/tcp"],
                            "health_check": {"interval": "100ms", "timeout": "50ms", "fall": 1},
                            "backends": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4",
                                         "10.0.0.5"]})")))
                  .ok());
  checks_->Reconcile(View());
  ASSERT_TRUE(RunUntil([&] { return Count(HealthState::kUnhealthy) == kBackends; }));
  EXPECT_EQ(looks_, 0);
}

TEST_F(IsolationTest, ARemovedBackendsFailureThatWaitsEnds) {
  AddFive();
  way_.loss = WayLoss::kSilent;
  failing_ = {Number(1)};
  ASSERT_TRUE(RunUntil([&] { return looks_ > 0; }));
  ASSERT_TRUE(Apply(RemoveService("web")).ok());
  checks_->Reconcile(View());
  RunFor(milliseconds(300));
  EXPECT_EQ(checks_->check_count(), 0U);
}

}  // namespace
}  // namespace fairlead
