#include "dataplane/manage/table_publisher.h"

#include <set>

#include "lib/flow/flow_table.h"
#include "tests/unit/manage/fixture.h"

namespace fairlead {
namespace {

using testing::FakeGrace;
using testing::ImpossibleImage;
using testing::WebImage;
using testing::WebInput;

class TablePublisherTest : public ::testing::Test {
 protected:
  TablePublisherTest() : publisher_(Environment()) {}

  TablePublisher::Environment Environment() {
    TablePublisher::Environment environment;
    environment.published = &published_;
    environment.grace = &grace_;
    environment.ports = {testing::Eth0()};
    environment.reset_backend = [this](uint32_t index) { reset_backends_.insert(index); };
    environment.reset_service = [this](uint32_t index) { reset_services_.insert(index); };
    environment.admit_steering = [this](const SnapshotView& snapshot) {
      in_force_when_admitted_ = published_.load();
      return snapshot.header().generation == refused_generation_
                 ? ResourceExhausted("no space left")
                 : Status();
    };
    environment.undo_steering = [this](const SnapshotView* in_force) {
      withdrawn_to_.push_back(in_force == nullptr ? 0 : in_force->header().generation);
    };
    environment.make_flow_table = [this] {
      in_force_when_flows_were_needed_ = published_.load();
      ++flows_needed_;
      return no_flows_ ? ResourceExhausted("no memory") : Status();
    };
    environment.after_publish = [this](const SnapshotView& snapshot) {
      after_publish_calls_.push_back(snapshot.header().generation);
      EXPECT_EQ(published_.load()->generation(), snapshot.header().generation);
    };
    environment.grace_timeout_ms = 0;
    return environment;
  }

  uint32_t CounterIndexOf(uint32_t backend_id) const {
    return publisher_.tables()->FindBackend(backend_id)->counter_index;
  }

  std::atomic<const ForwardingTables*> published_{nullptr};
  FakeGrace grace_;
  std::set<uint32_t> reset_backends_;
  std::set<uint32_t> reset_services_;
  const ForwardingTables* in_force_when_admitted_ = nullptr;
  const ForwardingTables* in_force_when_flows_were_needed_ = nullptr;
  uint32_t flows_needed_ = 0;
  bool no_flows_ = false;
  uint64_t refused_generation_ = 0;
  std::vector<uint64_t> after_publish_calls_;
  std::vector<uint64_t> withdrawn_to_;  // 0: no image was in force
  TablePublisher publisher_;
};

TEST_F(TablePublisherTest, PublishesTheTablesOfTheImage) {
  const Result<TablePublisher::Outcome> outcome = publisher_.Publish(WebImage(3, 2), 0);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->generation, 3u);
  EXPECT_EQ(outcome->build.services_rebuilt, 1u);
  EXPECT_EQ(published_.load(), publisher_.tables());
  EXPECT_EQ(published_.load()->generation(), 3u);
}

TEST_F(TablePublisherTest, KeepsTheOldTablesWhenTheNewOnesCannotBeBuilt) {
  ASSERT_TRUE(publisher_.Publish(WebImage(1, 2), 0).ok());
  const ForwardingTables* const before = published_.load();
  const Result<TablePublisher::Outcome> outcome = publisher_.Publish(ImpossibleImage(2), 0);
  ASSERT_FALSE(outcome.ok());
  EXPECT_NE(outcome.status().message().find("would belong to"), std::string::npos);
  EXPECT_EQ(published_.load(), before);
  EXPECT_EQ(publisher_.tables()->generation(), 1u);
  EXPECT_EQ(SnapshotView(publisher_.image()).header().generation, 1u);
}

TEST_F(TablePublisherTest, AdmitsBeforeTheNewTablesAreInForceAndNotifiesAfterwards) {
  ASSERT_TRUE(publisher_.Publish(WebImage(1, 2), 0).ok());
  const ForwardingTables* const before = published_.load();
  ASSERT_TRUE(publisher_.Publish(WebImage(2, 2), 0).ok());
  EXPECT_EQ(in_force_when_admitted_, before);
  EXPECT_EQ(after_publish_calls_, (std::vector<uint64_t>{1, 2}));
}

TEST_F(TablePublisherTest, KeepsTheOldTablesWhenTheNewOnesAreNotAdmitted) {
  ASSERT_TRUE(publisher_.Publish(WebImage(1, 2), 0).ok());
  const ForwardingTables* const before = published_.load();
  refused_generation_ = 2;
  const Result<TablePublisher::Outcome> outcome = publisher_.Publish(WebImage(2, 3), 0);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.status().message(), "no space left");
  EXPECT_EQ(published_.load(), before);
  EXPECT_EQ(after_publish_calls_, std::vector<uint64_t>{1});
  // The counters of its third backend are free again. They are zeroed before another backend gets
  // them.
  EXPECT_EQ(reset_backends_.size(), 1u);
}

TEST_F(TablePublisherTest, WithdrawsToTheImageInForceWhenAnImageIsNotAdmitted) {
  refused_generation_ = 1;
  ASSERT_FALSE(publisher_.Publish(WebImage(1, 2), 0).ok());
  EXPECT_EQ(withdrawn_to_, std::vector<uint64_t>{0});
  ASSERT_TRUE(publisher_.Publish(WebImage(2, 2), 0).ok());
  refused_generation_ = 3;
  ASSERT_FALSE(publisher_.Publish(WebImage(3, 3), 0).ok());
  EXPECT_EQ(withdrawn_to_, (std::vector<uint64_t>{0, 2}));
  // Image 4 is refused before `admit_steering` is called, so there is nothing to undo_steering.
  ASSERT_FALSE(publisher_.Publish(ImpossibleImage(4), 0).ok());
  ASSERT_TRUE(publisher_.Publish(WebImage(5, 3), 0).ok());
  EXPECT_EQ(withdrawn_to_, (std::vector<uint64_t>{0, 2}));
}

TEST_F(TablePublisherTest, ReportsAWorkerThatStillUsesTheOldTables) {
  ASSERT_TRUE(publisher_.Publish(WebImage(1, 2), 0).ok());
  const ForwardingTables* const before = published_.load();
  grace_.over_up_to = 1;
  const Result<TablePublisher::Outcome> outcome = publisher_.Publish(WebImage(2, 3), 0);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.status().code(), ErrorCode::kUnavailable);
  // New packets are forwarded by the new tables; the slow worker may still read the old ones.
  EXPECT_EQ(published_.load()->generation(), 2u);
  EXPECT_EQ(before->generation(), 1u);
}

SnapshotImage AdaptiveImage(uint64_t generation, uint32_t backend_count) {
  SnapshotInput input = WebInput(generation, backend_count);
  input.services[0].tracking_tcp = Tracking::kAdaptive;
  return BuildSnapshot(input).value();
}

TEST_F(TablePublisherTest, RequestsTheFlowTableBeforeAWorkerUsesIt) {
  ASSERT_TRUE(publisher_.Publish(AdaptiveImage(1, 2), 0).ok());
  EXPECT_EQ(flows_needed_, 0U);
  const ForwardingTables* settled = published_.load();
  ASSERT_TRUE(publisher_.Publish(AdaptiveImage(2, 3), 0).ok());  // its slots begin to shift
  EXPECT_EQ(flows_needed_, 1U);
  EXPECT_EQ(in_force_when_flows_were_needed_, settled);
  ASSERT_TRUE(publisher_.Publish(WebImage(3, 3), 0).ok());  // records all
  EXPECT_EQ(flows_needed_, 2U);
}

TEST_F(TablePublisherTest, RefusesTablesThatNeedTheFlowTableWithoutMemory) {
  ASSERT_TRUE(publisher_.Publish(AdaptiveImage(1, 2), 0).ok());
  no_flows_ = true;
  EXPECT_EQ(publisher_.Publish(AdaptiveImage(2, 3), 0).status().code(),
            ErrorCode::kResourceExhausted);
  EXPECT_EQ(published_.load()->generation(), 1U);
  EXPECT_TRUE(publisher_.Publish(AdaptiveImage(3, 2), 0).ok());  // nothing shifts
}

TEST_F(TablePublisherTest, KeepsCounterIndexesOfTablesThatAWorkerMayStillUse) {
  ASSERT_TRUE(publisher_.Publish(WebImage(1, 2), 0).ok());
  const uint32_t index = CounterIndexOf(2);
  grace_.over_up_to = 1;
  EXPECT_FALSE(publisher_.Publish(WebImage(2, 1), 0).ok());
  EXPECT_TRUE(reset_backends_.empty());
  grace_.over_up_to = ~uint64_t{0};
  EXPECT_TRUE(publisher_.Publish(WebImage(3, 1), 0).ok());
  EXPECT_EQ(reset_backends_, std::set<uint32_t>{index});
}

TEST_F(TablePublisherTest, ZeroesOnlyTheCountersOfRemovedBackends) {
  ASSERT_TRUE(publisher_.Publish(WebImage(1, 3), 0).ok());
  const uint32_t indexes[] = {CounterIndexOf(1), CounterIndexOf(2), CounterIndexOf(3)};
  ASSERT_TRUE(publisher_.Publish(WebImage(2, 1), 0).ok());
  EXPECT_EQ(CounterIndexOf(1), indexes[0]);
  EXPECT_EQ(reset_backends_, (std::set<uint32_t>{indexes[1], indexes[2]}));
  EXPECT_TRUE(reset_services_.empty());
}

}  // namespace
}  // namespace fairlead
