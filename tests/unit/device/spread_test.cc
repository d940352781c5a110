#include "dataplane/device/spread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;

QueueFacts Nic(const char* driver, uint32_t queues, bool has_rss) {
  return {.device = "0000:3b:00.0",
          .driver = driver,
          .max_rx_queues = queues,
          .max_tx_queues = queues,
          .has_rss = has_rss,
          .machine_vendor = "QEMU"};
}

struct Expected {
  SpreadBy by;
  uint32_t rx_queues;
  uint32_t tx_queues;
  const char* sentence;
};

void ExpectPlan(SpreadMode mode, const QueueFacts& facts, uint32_t workers,
                const Expected& expected) {
  const Result<SpreadPlan> plan = PlanSpread(mode, facts, workers, 0);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->by, expected.by) << expected.sentence;
  EXPECT_EQ(plan->rx_queues, expected.rx_queues) << expected.sentence;
  EXPECT_EQ(plan->tx_queues, expected.tx_queues) << expected.sentence;
  EXPECT_EQ(plan->sentence, expected.sentence);
}

TEST(PlanSpread, UsesRssWhereTheNicHasIt) {
  for (const SpreadMode mode : {SpreadMode::kAuto, SpreadMode::kHardware}) {
    ExpectPlan(mode, Nic("net_ice", 256, true), 4,
               {SpreadBy::kHardware, 4, 4,
                "0000:3b:00.0 (net_ice) spreads over 4 workers by RSS, a queue each"});
  }
}

TEST(PlanSpread, LeavesWorkersIdleWhereTheNicDoesNotSpread) {
  ExpectPlan(SpreadMode::kAuto, Nic("net_igc", 4, false), 2,
             {SpreadBy::kNothing, 1, 1,
              "0000:3b:00.0 (net_igc) has no RSS; worker 0 receives all packets, the others none "
              "(or spread: software); all workers share 1 transmit queue"});
  ExpectPlan(
      SpreadMode::kAuto, Nic("net_ixgbe_vf", 2, true), 4,
      {SpreadBy::kNothing, 1, 1,
       "0000:3b:00.0 (net_ixgbe_vf) has 2 receive queues for 4 workers; worker 0 receives all "
       "packets, the others none (or spread: software); all workers share 1 transmit queue"});
  EXPECT_TRUE(PlanSpread(SpreadMode::kAuto, Nic("net_igc", 4, false), 2, 0)->leaves_workers_idle);
  EXPECT_FALSE(
      PlanSpread(SpreadMode::kSoftware, Nic("net_igc", 4, false), 2, 0)->leaves_workers_idle);
}

// DPDK 22.11 reports two queues of each direction, and QEMU's e1000 has one.
TEST(PlanSpread, DoesNotBelieveDriversThatReportWhatTheyDoNotHave) {
  ExpectPlan(SpreadMode::kAuto, Nic("net_e1000_em", 2, false), 2,
             {SpreadBy::kNothing, 1, 1,
              "0000:3b:00.0 (net_e1000_em) has no RSS; worker 0 receives all packets, the others "
              "none (or spread: software); all workers share 1 transmit queue"});
  ExpectPlan(
      SpreadMode::kAuto, Nic("net_vmxnet3", 16, true), 2,
      {SpreadBy::kNothing, 1, 1,
       "0000:3b:00.0 (net_vmxnet3) has no RSS outside of VMware; worker 0 receives all packets, "
       "the others none (or spread: software); all workers share 1 transmit queue"});
  QueueFacts vmware = Nic("net_vmxnet3", 16, true);
  vmware.machine_vendor = "VMware, Inc.";
  ExpectPlan(SpreadMode::kAuto, vmware, 2,
             {SpreadBy::kHardware, 2, 2,
              "0000:3b:00.0 (net_vmxnet3) spreads over 2 workers by RSS, a queue each"});
}

TEST(PlanSpread, LeavesItToTheOtherSideWithoutRss) {
  ExpectPlan(
      SpreadMode::kHardware, Nic("net_virtio", 2, false), 2,
      {SpreadBy::kHardware, 2, 2,
       "0000:3b:00.0 (net_virtio) has a queue for each of 2 workers; the hypervisor spreads"});
  ExpectPlan(
      SpreadMode::kAuto, Nic("net_virtio", 1, false), 2,
      {SpreadBy::kNothing, 1, 1,
       "0000:3b:00.0 (net_virtio) has 1 receive queue for 2 workers; worker 0 receives all "
       "packets, the others none (or spread: software); all workers share 1 transmit queue"});
}

TEST(PlanSpread, UsesOneReceiveQueueForSoftwareAndOff) {
  ExpectPlan(SpreadMode::kSoftware, Nic("net_ice", 256, true), 2,
             {SpreadBy::kSoftware, 1, 2,
              "0000:3b:00.0 (net_ice): worker 0 receives and spreads over 2 workers in software"});
  ExpectPlan(SpreadMode::kOff, Nic("net_ice", 256, true), 2,
             {SpreadBy::kNothing, 1, 2, "0000:3b:00.0 (net_ice): worker 0 receives all packets"});
  ExpectPlan(SpreadMode::kOff, Nic("net_af_packet", 1, false), 2,
             {SpreadBy::kNothing, 1, 1,
              "0000:3b:00.0 (net_af_packet): worker 0 receives all packets; all workers share 1 "
              "transmit queue"});
}

TEST(PlanSpread, SpreadsNothingOverOneWorker) {
  for (const SpreadMode mode :
       {SpreadMode::kAuto, SpreadMode::kHardware, SpreadMode::kSoftware, SpreadMode::kOff}) {
    ExpectPlan(
        mode, Nic("net_e1000_em", 2, false), 1,
        {SpreadBy::kNothing, 1, 1, "0000:3b:00.0 (net_e1000_em): worker 0 receives all packets"});
  }
}

TEST(PlanSpread, SharesTheTransmitQueuesOfANicThatHasFewer) {
  QueueFacts facts = Nic("net_ice", 4, true);
  facts.max_tx_queues = 2;
  ExpectPlan(SpreadMode::kAuto, facts, 4,
             {SpreadBy::kHardware, 4, 2,
              "0000:3b:00.0 (net_ice) spreads over 4 workers by RSS, a queue each; all workers "
              "share 2 transmit queues"});
}

TEST(PlanSpread, RefusesHardwareThatCannotSpread) {
  const struct {
    QueueFacts facts;
    const char* message;
  } rows[] = {
      {Nic("net_e1000_em", 2, false),
       "spread: hardware is not possible: 0000:3b:00.0 (net_e1000_em) has no RSS; use spread: "
       "software, or --workers 1"},
      {Nic("net_vmxnet3", 16, true), "(net_vmxnet3) has no RSS outside of VMware; use"},
      {Nic("net_virtio", 1, false), "(net_virtio) has 1 receive queue for 2 workers; use"},
      {Nic("net_igc", 4, false), "(net_igc) has no RSS; use"},
  };
  for (const auto& row : rows) {
    const Result<SpreadPlan> plan = PlanSpread(SpreadMode::kHardware, row.facts, 2, 0);
    ASSERT_FALSE(plan.ok()) << row.message;
    EXPECT_THAT(plan.status().message(), HasSubstr(row.message));
  }
}

TEST(PlanSpread, RefusesADeviceOfOneDirection) {
  QueueFacts facts = Nic("net_pcap", 0, false);
  facts.max_tx_queues = 1;
  for (const SpreadMode mode : {SpreadMode::kAuto, SpreadMode::kOff}) {
    EXPECT_THAT(PlanSpread(mode, facts, 1, 0).status().message(),
                HasSubstr("cannot both receive and send: it has 0 receive queues and 1 transmit "
                          "queue"));
  }
}

TEST(ParseSpreadMode, ReadsTheFourWords) {
  EXPECT_EQ(*ParseSpreadMode("auto"), SpreadMode::kAuto);
  EXPECT_EQ(*ParseSpreadMode("hardware"), SpreadMode::kHardware);
  EXPECT_EQ(*ParseSpreadMode("software"), SpreadMode::kSoftware);
  EXPECT_EQ(*ParseSpreadMode("off"), SpreadMode::kOff);
  EXPECT_THAT(
      ParseSpreadMode("rss").status().message(),
      HasSubstr("'rss' is no way to spread packets; write auto, hardware, software or off"));
}

}  // namespace
}  // namespace fairlead
