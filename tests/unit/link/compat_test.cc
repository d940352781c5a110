// Messages, statistics and snapshots that the programs of release 0.1.0 sent each other.
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "lib/link/message.h"
#include "lib/link/stats.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"
#include "tests/unit/recorded.h"

namespace fairlead {
namespace {

using testing_recorded::Bytes;
using testing_recorded::Read;

class RecordedMessages : public ::testing::TestWithParam<const char*> {};

TEST_P(RecordedMessages, AreReadAndWrittenByteForByte) {
  const auto datagram = Bytes(Read(std::string(GetParam()) + ".message"));
  const Result<DecodedMessage> decoded = DecodeLinkMessage(datagram);
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  EXPECT_EQ(decoded->version, kFirstLinkVersion);
  EXPECT_EQ(EncodeLinkMessage(decoded->id, decoded->message, kFirstLinkVersion), datagram);
}

INSTANTIATE_TEST_SUITE_P(All, RecordedMessages,
                         ::testing::Values("hello", "publish", "published", "get_stats", "stats",
                                           "find_flow", "flow"),
                         [](const auto& row) { return std::string(row.param); });

TEST(RecordedMessages, HaveTheRecordedContent) {
  const auto decode = [](const char* name) {
    return DecodeLinkMessage(Bytes(Read(std::string(name) + ".message"))).value().message;
  };
  const auto hello = std::get<HelloMessage>(decode("hello"));
  EXPECT_GT(hello.pid, 0U);
  EXPECT_EQ(hello.snapshot_version, 2U);
  EXPECT_EQ(hello.worker_count, 1U);
  EXPECT_EQ(hello.flow_records, 1024U);
  const auto published = std::get<PublishedMessage>(decode("published"));
  EXPECT_TRUE(published.in_force);
  EXPECT_EQ(published.generation, std::get<PublishMessage>(decode("publish")).generation);
  EXPECT_EQ(std::get<StatsMessage>(decode("stats")).body_bytes, Read("stats.body").size());
  EXPECT_TRUE(std::get<FlowMessage>(decode("flow")).slot_known);
}

TEST(RecordedStatistics, AreReadAndWritten) {
  auto body = Bytes(Read("stats.body"));
  const Result<DataplaneStats> stats = DecodeStats(body);
  ASSERT_TRUE(stats.ok()) << stats.status().message();
  EXPECT_GT(stats->totals.rx_packets, 0U);
  EXPECT_GT(stats->totals.tx_packets, 0U);
  EXPECT_EQ(stats->flows.capacity, 1024U);
  EXPECT_GE(stats->flows.records, 5U);
  EXPECT_EQ(stats->services.size(), 6U);
  EXPECT_EQ(stats->ports.size(), 1U);
  EXPECT_TRUE(stats->other_drops.empty()) << "this release still knows all reasons of 0.1.0";
  uint64_t counted = stats->totals.tx_packets + stats->totals.to_kernel;
  for (const uint64_t drops : stats->totals.drops) counted += drops;
  EXPECT_LE(counted, stats->totals.rx_packets + stats->totals.generated);
  // DecodeStats does not keep the number of workers of version 3, which has no records of workers.
  constexpr size_t kWorkerCountAt = 48;
  std::memset(&body[kWorkerCountAt], 0, sizeof(uint64_t));
  EXPECT_EQ(EncodeStats(*stats, {}, kFirstStatsVersion), body);
}

TEST(RecordedSnapshots, AreValid) {
  for (const char* name : {"publish.body", "dataplane.snapshot"}) {
    const Result<SnapshotImage> image = LoadSnapshot(Bytes(Read(name)));
    ASSERT_TRUE(image.ok()) << name << ": " << image.status().message();
    const SnapshotView view(image->bytes());
    EXPECT_EQ(view.header().version, 2U);
    EXPECT_EQ(view.services().size(), 6U);
    EXPECT_EQ(view.frontends().size(), 7U);
  }
}

}  // namespace
}  // namespace fairlead
