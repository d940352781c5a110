#include "controlplane/observe/health/failing_together.h"

#include <string>

#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using Decision = FailingTogether::Decision;
using std::chrono::milliseconds;

constexpr milliseconds kWindow{4000};
const WayKey kGateway{2, *IpAddress::Parse("10.0.0.1")};
const WayKey kOtherGateway{3, *IpAddress::Parse("10.1.0.1")};

class FailingTogetherTest : public testing::Test {
 protected:
  static IpAddress Number(int i) { return *IpAddress::Parse("10.0.1." + std::to_string(i)); }
  FailingTogether::Answer Fail(int i, bool is_there, size_t healthy, const WayKey& way = kGateway) {
    return together_.OnFailure(Number(i), way, is_there, clock_.Steady(), kWindow, healthy);
  }
  Decision Waiting(int i, bool is_there) {
    return together_.OnWaiting(Number(i), is_there, clock_.Steady()).decision;
  }
  void Advance(int ms) { clock_.Advance(milliseconds(ms)); }

  FakeClock clock_;
  FailingTogether together_;
};

TEST_F(FailingTogetherTest, AFailureWhoseWayIsThereIsAcceptedAtOnce) {
  const FailingTogether::Answer answer = Fail(1, true, 5);
  EXPECT_EQ(answer.decision, Decision::kAccept);
  EXPECT_FALSE(answer.failed_together);
}

TEST_F(FailingTogetherTest, HalfOfAllWithTheirWayThereIsOneEvent) {
  EXPECT_FALSE(Fail(1, true, 5).failed_together);
  Advance(1000);
  EXPECT_FALSE(Fail(2, true, 4).failed_together) << "two of five";
  Advance(1000);
  const FailingTogether::Answer third = Fail(3, true, 3);
  EXPECT_EQ(third.decision, Decision::kAccept);
  EXPECT_TRUE(third.failed_together);
  EXPECT_EQ(together_.failed_count(), 3U);
  EXPECT_EQ(together_.healthy_before(), 5U);
  EXPECT_FALSE(Fail(4, true, 2).failed_together) << "it is told once";
  EXPECT_TRUE(together_.isolated().empty());
}

TEST_F(FailingTogetherTest, FailuresOutsideOfTheWindowAreNotTogether) {
  for (int i = 1; i <= 5; ++i) {
    const FailingTogether::Answer answer = Fail(i, true, static_cast<size_t>(11 - i));
    EXPECT_FALSE(answer.failed_together) << i;
    Advance(4000);
  }
}

TEST_F(FailingTogetherTest, TheSameEndpointCountsOnce) {
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(Fail(1, true, 4).failed_together);
  EXPECT_TRUE(Fail(2, true, 3).failed_together);
}

TEST_F(FailingTogetherTest, WithFewerThanFourEndpointsEachFailureIsAccepted) {
  EXPECT_EQ(Fail(1, false, 3).decision, Decision::kAccept);
  EXPECT_EQ(Fail(2, false, 2).decision, Decision::kAccept);
}

TEST_F(FailingTogetherTest, AlreadyTheFirstFailureOfALostWayWaits) {
  EXPECT_EQ(Fail(1, false, 5).decision, Decision::kWait);
  Advance(500);
  EXPECT_EQ(Fail(2, false, 5).decision, Decision::kWait);
  EXPECT_EQ(Waiting(1, false), Decision::kWait);
  Advance(500);
  const FailingTogether::Answer third = Fail(3, false, 5);
  EXPECT_EQ(third.decision, Decision::kHold);
  EXPECT_EQ(third.isolated, std::vector<WayKey>{kGateway});
  EXPECT_EQ(Waiting(1, false), Decision::kHold);
  EXPECT_EQ(Waiting(2, false), Decision::kHold);
  Advance(60'000);
  EXPECT_EQ(Fail(4, false, 5).decision, Decision::kHold) << "as long as the way is lost";
  EXPECT_TRUE(together_.IsIsolated(kGateway));
  EXPECT_TRUE(together_.OnBack(kGateway));
  EXPECT_FALSE(together_.IsIsolated(kGateway));
  EXPECT_FALSE(together_.OnBack(kGateway));
  EXPECT_EQ(Fail(4, true, 5).decision, Decision::kAccept);
}

TEST_F(FailingTogetherTest, FewFailuresOfALostWayAreAcceptedAfterTheWindow) {
  EXPECT_EQ(Fail(1, false, 10).decision, Decision::kWait);
  Advance(3999);
  EXPECT_EQ(Waiting(1, false), Decision::kWait);
  Advance(1);
  EXPECT_EQ(Waiting(1, false), Decision::kAccept);
  EXPECT_EQ(Waiting(1, false), Decision::kHold) << "it waits no longer";
}

TEST_F(FailingTogetherTest, AWayThatIsBackSoonReleasesNothing) {
  EXPECT_EQ(Fail(1, false, 5).decision, Decision::kWait);
  Advance(1000);
  EXPECT_EQ(Fail(2, true, 5).decision, Decision::kHold) << "its failures may be those of the way";
  EXPECT_EQ(Waiting(1, true), Decision::kHold);
  EXPECT_EQ(Fail(2, true, 5).decision, Decision::kAccept) << "it failed anew";
}

TEST_F(FailingTogetherTest, AWaitingFailureSeesThatTheWayIsBack) {
  EXPECT_EQ(Fail(1, false, 5).decision, Decision::kWait);
  EXPECT_EQ(Waiting(1, true), Decision::kHold);
}

TEST_F(FailingTogetherTest, AFailureSeesThatAnIsolationIsOver) {
  for (int i = 1; i <= 3; ++i) Fail(i, false, 5);
  ASSERT_TRUE(together_.IsIsolated(kGateway));
  EXPECT_EQ(Fail(4, true, 5).decision, Decision::kHold);
  EXPECT_FALSE(together_.IsIsolated(kGateway));
}

TEST_F(FailingTogetherTest, OnlyLostWaysAreIsolated) {
  EXPECT_EQ(Fail(1, true, 6, kOtherGateway).decision, Decision::kAccept);
  EXPECT_EQ(Fail(2, false, 5).decision, Decision::kWait);
  const FailingTogether::Answer third = Fail(3, true, 5, kOtherGateway);
  EXPECT_EQ(third.decision, Decision::kAccept);
  EXPECT_EQ(third.isolated, std::vector<WayKey>{kGateway});
  EXPECT_FALSE(together_.IsIsolated(kOtherGateway));
  EXPECT_EQ(Waiting(2, false), Decision::kHold);
}

TEST_F(FailingTogetherTest, EndpointsWithoutACarrierCount) {
  const auto no_way = [&](int i) {
    return together_.OnNoWay(Number(i), kGateway, clock_.Steady(), kWindow, 4);
  };
  EXPECT_EQ(no_way(1).decision, Decision::kHold);
  EXPECT_TRUE(together_.isolated().empty());
  EXPECT_EQ(no_way(2).isolated, std::vector<WayKey>{kGateway});
  EXPECT_TRUE(no_way(3).isolated.empty()) << "it is told once";
}

TEST_F(FailingTogetherTest, AWaitingFailureWhoseCheckEndedIsForgotten) {
  EXPECT_EQ(Fail(1, false, 5).decision, Decision::kWait);
  Advance(60'000);
  EXPECT_EQ(Fail(2, true, 5).decision, Decision::kAccept);
  EXPECT_EQ(together_.failed_count(), 1U);
}

}  // namespace
}  // namespace fairlead
