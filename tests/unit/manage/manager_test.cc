#include "dataplane/manage/manager.h"

#include <csignal>
#include <filesystem>
#include <memory>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "dataplane/manage/image_file.h"
#include "dataplane/manage/state_files.h"
#include "tests/unit/flow/table_memory.h"
#include "tests/unit/manage/fixture.h"

namespace fairlead {
namespace {

using testing::FakeGrace;
using testing::ImpossibleImage;
using testing::Memfd;
using testing::PagesOf;
using testing::PresentPages;
using testing::TableMemory;
using testing::TemporaryFolder;
using testing::WebImage;

class ManagerTest : public ::testing::Test {
 protected:
  Manager::Environment Environment() {
    Manager::Environment environment;
    environment.publisher.published = &published_;
    environment.publisher.grace = &grace_;
    environment.publisher.ports = {testing::Eth0()};
    environment.publisher.reset_backend = [this](uint32_t index) { counters_.backend(index) = {}; };
    environment.publisher.reset_service = [this](uint32_t index) { counters_.service(index) = {}; };
    environment.flows = &flows_;
    environment.workers = {&counters_};
    environment.longest_pause_us = [](size_t worker) { return 1500 + worker; };
    environment.now_tick = [this] { return now_tick_; };
    environment.idle_ms = [this] { return idle_ms_; };
    environment.last_image_path = folder_ / "dataplane.snapshot";
    return environment;
  }

  PublishedMessage Publish(const SnapshotImage& image, uint64_t generation) {
    const Memfd fd(image.bytes());
    const PublishedMessage reply =
        manager_.Publish({.generation = generation, .image_bytes = image.bytes().size()}, fd.get());
    manager_.SaveImage();
    return reply;
  }

  TemporaryFolder folder_;
  std::atomic<const ForwardingTables*> published_{nullptr};
  FakeGrace grace_;
  TableMemory memory_{FlowTable::BytesNeeded(1024)};
  FlowTable flows_ = FlowTable::Format(memory_.bytes(), 1024);
  WorkerCounters counters_ = WorkerCounters::Create().value();
  uint32_t now_tick_ = 1000;
  uint64_t idle_ms_ = 0;
  Manager manager_{Environment()};
};

TEST_F(ManagerTest, PutsAPublishedImageIntoForceAndStoresIt) {
  EXPECT_EQ(manager_.Hello().generation, 0u);
  const PublishedMessage reply = Publish(WebImage(9, 2), 9);
  EXPECT_TRUE(reply.in_force) << reply.reason;
  EXPECT_EQ(reply.generation, 9u);
  EXPECT_EQ(published_.load()->generation(), 9u);
  EXPECT_EQ(manager_.Hello().generation, 9u);
  EXPECT_TRUE(LoadImageFile(folder_ / "dataplane.snapshot").ok());
}

TEST_F(ManagerTest, RefusesABadImageWithAReasonAndChangesNothing) {
  ASSERT_TRUE(Publish(WebImage(1, 2), 1).in_force);
  std::vector<std::byte> flipped;
  const SnapshotImage good = WebImage(2, 2);
  flipped.assign(good.bytes().begin(), good.bytes().end());
  flipped[200] ^= std::byte{1};
  const Memfd fd(flipped);
  for (const PublishedMessage& reply :
       {manager_.Publish({.generation = 2, .image_bytes = flipped.size()}, fd.get()),
        Publish(WebImage(2, 2), 3), Publish(ImpossibleImage(2), 2)}) {
    EXPECT_FALSE(reply.in_force);
    EXPECT_NE(reply.reason, "");
  }
  EXPECT_EQ(published_.load()->generation(), 1u);
  EXPECT_EQ(manager_.Hello().generation, 1u);
  const Result<SnapshotImage> last = LoadImageFile(folder_ / "dataplane.snapshot");
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(SnapshotView(last->bytes()).header().generation, 1u);
}

// The log says with which generation a restart would begin. No temporary file remains.
TEST_F(ManagerTest, LogsWhatARestartWouldLoadWhenTheDiskIsFull) {
  std::ostringstream log;
  const auto before_logger = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto publish_with_full_disk = [&](uint64_t generation) {
    const SnapshotImage image = WebImage(generation, 2);
    const Memfd fd(image.bytes());
    const rlimit none = {16, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
    const PublishedMessage reply =
        manager_.Publish({.generation = generation, .image_bytes = image.bytes().size()}, fd.get());
    manager_.SaveImage();
    setrlimit(RLIMIT_FSIZE, &before);
    EXPECT_TRUE(reply.in_force) << reply.reason;
  };
  publish_with_full_disk(1);
  EXPECT_THAT(log.str(), ::testing::HasSubstr("a restart would start without a snapshot"));
  ASSERT_TRUE(Publish(WebImage(2, 2), 2).in_force);
  publish_with_full_disk(3);
  spdlog::set_default_logger(before_logger);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(log.str(), ::testing::HasSubstr("generation 3 is in force, but not saved: "));
  EXPECT_THAT(log.str(), ::testing::HasSubstr("would start with an older generation"));
  const Result<SnapshotImage> last = LoadSavedImage(folder_ / "dataplane.snapshot");
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(SnapshotView(last->bytes()).header().generation, 2U);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "dataplane.snapshot.new"));
}

TEST_F(ManagerTest, TruncatesAReasonToWhatAMessageHolds) {
  const PublishedMessage reply = Publish(ImpossibleImage(1, std::string(255, 'x')), 1);
  ASSERT_FALSE(reply.in_force);
  EXPECT_LE(reply.reason.size(), 1024u);
}

// A backend that this host cannot reach is left out and counted. All others are in force.
TEST_F(ManagerTest, LeavesOutABackendThatThisHostCannotReach) {
  SnapshotInput input = testing::WebInput(1, 2);
  input.services[0].backends[1].next_hop->interface = "nowhere";
  const PublishedMessage reply = Publish(BuildSnapshot(input).value(), 1);
  EXPECT_TRUE(reply.in_force) << reply.reason;
  EXPECT_EQ(reply.left_out, 1u);
  const DataplaneStats stats = manager_.Stats();
  ASSERT_EQ(stats.backends.size(), 2u);
  EXPECT_EQ(stats.backends[0].left_out, LeftOut::kNo);
  EXPECT_EQ(stats.backends[1].left_out, LeftOut::k_interface_no_port);
}

TEST_F(ManagerTest, FindsAFlowsRecordAndItsAge) {
  const RecordKey key{77, 5};
  ASSERT_EQ(flows_.Insert(key, {3, now_tick_ - 8, kRecordConfirmed}, 100),
            FlowTable::InsertResult::kStored);
  const FlowMessage flow = manager_.FindFlow({.tag = 77, .buckets = 5, .service_id = 0});
  EXPECT_TRUE(flow.found);
  EXPECT_EQ(flow.backend_id, 3u);
  EXPECT_EQ(flow.age_ms, 2000u);
  EXPECT_EQ(flow.flags, kRecordConfirmed);
  EXPECT_FALSE(manager_.FindFlow({.tag = 78, .buckets = 5, .service_id = 0}).found);
}

// Sweeps and answers allocate no memory for a flow table that no worker needs. When tables need it,
// it has its memory before they are in force.
TEST_F(ManagerTest, AllocatesTheFlowTableOnlyWhenAChangeNeedsIt) {
  constexpr uint64_t kRecords = 1U << 16;
  FlowMemory memory = FlowMemory::Allocate(FlowTable::BytesNeeded(kRecords)).value();
  FlowTable flows = OpenFlowTable(kRecords, &memory).value();
  const ForwardingTables* in_force_before = nullptr;
  Manager::Environment environment = Environment();
  environment.flows = &flows;
  environment.flow_memory = &memory;
  environment.publisher.make_flow_table = [&] {
    in_force_before = published_.load();
    return MakeFlowsPresent(kRecords, &memory);
  };
  Manager manager(std::move(environment));
  const auto image = [](uint64_t generation, uint32_t backends) {
    SnapshotInput input = testing::WebInput(generation, backends);
    input.services[0].tracking_tcp = Tracking::kAdaptive;
    return BuildSnapshot(input).value();
  };
  const int never = eventfd(0, EFD_CLOEXEC);
  ASSERT_TRUE(manager.Apply(image(1, 2)).ok());
  const ForwardingTables* settled_tables = published_.load();
  idle_ms_ = 1;
  manager.Run(never, 1);  // sweeps
  EXPECT_FALSE(manager.FindFlow({.tag = 77, .buckets = 5, .service_id = 1}).found);
  EXPECT_EQ(PresentPages(memory.bytes()), 0U);
  ASSERT_TRUE(manager.Apply(image(2, 3)).ok());
  EXPECT_EQ(in_force_before, settled_tables);
  EXPECT_EQ(PresentPages(memory.bytes()), PagesOf(memory.bytes()));
  EXPECT_EQ(flows.Insert({77, 5}, {3, now_tick_, 0}, 100), FlowTable::InsertResult::kStored);
  EXPECT_TRUE(manager.FindFlow({.tag = 77, .buckets = 5, .service_id = 1}).found);
  manager.Run(never, 1);
  close(never);
}

// Uses a flow table whose sweep takes several slices.
class LongSweepTest : public ManagerTest {
 protected:
  static constexpr uint64_t kSlices = 4;
  static constexpr uint64_t kRecords = kSlices * Sweeper::kSliceBuckets * kRecordsPerBucket;

  Manager::Environment LongEnvironment() {
    Manager::Environment environment = Environment();
    environment.flows = &long_flows_;
    return environment;
  }
  static Result<TablePublisher::Outcome> Apply(Manager* manager, SnapshotImage image) {
    return manager->Apply(std::move(image));
  }
  // Records a flow of backend 1.
  void RecordOne() {
    ASSERT_EQ(long_flows_.Insert({77, 5}, {1, now_tick_, kRecordConfirmed}, 100),
              FlowTable::InsertResult::kStored);
  }
  // Runs the management thread once. It sweeps one slice.
  void TurnOnce(Manager* manager) {
    idle_ms_ = 1;
    manager->Run(never_, 1);
  }
  void TearDown() override { close(never_); }

  TableMemory long_memory_{FlowTable::BytesNeeded(kRecords)};
  FlowTable long_flows_ = FlowTable::Format(long_memory_.bytes(), kRecords);
  int never_ = eventfd(0, EFD_CLOEXEC);
};

TEST_F(LongSweepTest, ARefusedImageDoesNotRestartTheSweep) {
  Manager manager(LongEnvironment());
  ASSERT_TRUE(Apply(&manager, WebImage(1, 2)).ok());
  RecordOne();
  for (uint64_t turn = 0; turn < kSlices; ++turn) {
    EXPECT_EQ(manager.Stats().flows.records, 0U);
    ASSERT_FALSE(Apply(&manager, ImpossibleImage(2)).ok());
    TurnOnce(&manager);
  }
  EXPECT_EQ(manager.Stats().flows.records, 1U);
}

TEST_F(LongSweepTest, RestartsWithNewTablesAlsoWhenAWorkerStillUsesTheOldOnes) {
  for (const bool taken : {true, false}) {
    SCOPED_TRACE(taken);
    Manager::Environment environment = LongEnvironment();
    environment.publisher.grace_timeout_ms = 0;
    Manager manager(std::move(environment));
    ASSERT_TRUE(Apply(&manager, WebImage(1, 2)).ok());
    for (uint64_t turn = 0; turn < kSlices - 1; ++turn) TurnOnce(&manager);
    grace_.over_up_to = taken ? ~uint64_t{0} : grace_.begun;
    EXPECT_EQ(Apply(&manager, WebImage(2, 2)).ok(), taken);
    if (taken) RecordOne();
    TurnOnce(&manager);  // would have been the last slice of the old sweep
    EXPECT_EQ(manager.Stats().flows.records, 0U);
    for (uint64_t turn = 0; turn < kSlices - 1; ++turn) TurnOnce(&manager);
    EXPECT_EQ(manager.Stats().flows.records, 1U);
  }
}

TEST_F(LongSweepTest, AnOverdueSweepEndsBeforeTheNextChange) {
  for (const bool overdue : {false, true}) {
    SCOPED_TRACE(overdue);
    Manager::Environment environment = LongEnvironment();
    if (overdue) environment.sweep_overdue = std::chrono::milliseconds(0);
    Manager manager(std::move(environment));
    ASSERT_TRUE(Apply(&manager, WebImage(1, 2)).ok());
    if (!overdue) RecordOne();
    ASSERT_TRUE(Apply(&manager, WebImage(2, 2)).ok());
    EXPECT_EQ(manager.Stats().flows.records, overdue ? 1U : 0U);
  }
}

TEST_F(ManagerTest, ReportsTheSlotStateOfAFlow) {
  ASSERT_TRUE(Publish(WebImage(1, 1), 1).in_force);
  ASSERT_TRUE(Publish(WebImage(2, 2), 2).in_force);
  const ForwardingTables& tables = *published_.load();
  const ServiceEntry& service = tables.services()[0];
  ASSERT_NE(service.slot_table->shifting_count(), 0U);
  uint32_t shifting = 0;
  for (uint64_t n = 0; n < 256; ++n) {
    const uint64_t tag = (n << 56) ^ service.salt.low;
    const FlowMessage flow =
        manager_.FindFlow({.tag = tag, .buckets = 0, .service_id = service.id});
    EXPECT_TRUE(flow.slot_known);
    if (flow.slot_state != static_cast<uint8_t>(SlotState::kShifting)) {
      EXPECT_EQ(flow.current_id, 1U);
      continue;
    }
    ++shifting;
    EXPECT_EQ(flow.current_id, 2U);
    EXPECT_EQ(flow.stable_id, 1U);
  }
  EXPECT_GT(shifting, 50U);
  EXPECT_FALSE(manager_.FindFlow({.tag = 5, .buckets = 0, .service_id = 99}).slot_known);
}

TEST_F(ManagerTest, ReportsCountersByServiceAndBackend) {
  ASSERT_TRUE(Publish(WebImage(4, 2), 4).in_force);
  const uint32_t index = published_.load()->FindBackend(2)->counter_index;
  Add(&counters_.backend(index).packets, 10);
  Add(&counters_.backend(index).bytes, 400);
  Add(&counters_.totals.rx_packets, 12);
  Add(&counters_.totals.tx_packets, 10);
  Add(&counters_.totals.drops[static_cast<size_t>(DropReason::k_port_zero)], 2);
  nlohmann::json report;
  manager_.WithStats([&](const DataplaneStats& stats, const ForwardingTables* tables) {
    EXPECT_EQ(stats.backends[1].packets, 10u);
    report = nlohmann::json::parse(ReportJson(stats, tables, 3));
  });
  EXPECT_EQ(report["rx"], 12);
  EXPECT_EQ(report["drops"], (nlohmann::json{{"port_zero", 2}}));
  EXPECT_EQ(report["mbufs_in_use"], 3);
  EXPECT_EQ(report["longest_pauses_us"], nlohmann::json({1500}));
  EXPECT_EQ(report["rx_by_worker"], nlohmann::json({12}));
  EXPECT_EQ(report["generation"], 4);
  EXPECT_EQ(report["backends"][1]["address"], "10.0.0.2");
  EXPECT_EQ(report["backends"][1]["service"], "web");
  EXPECT_EQ(report["backends"][1]["bytes"], 400);
  EXPECT_EQ(report["services"][0]["name"], "web");
}

TEST_F(ManagerTest, ReportsWithoutTablesToo) {
  manager_.WithStats([](const DataplaneStats& stats, const ForwardingTables* tables) {
    const auto report = nlohmann::json::parse(ReportJson(stats, tables, 0));
    EXPECT_EQ(report["generation"], 0);
    EXPECT_TRUE(report["services"].empty());
  });
}

TEST_F(ManagerTest, ZeroesTheCountersOfADeletedBackend) {
  ASSERT_TRUE(Publish(WebImage(1, 2), 1).in_force);
  const uint32_t index = published_.load()->FindBackend(2)->counter_index;
  Add(&counters_.backend(index).packets, 10);
  ASSERT_TRUE(Publish(WebImage(2, 1), 2).in_force);
  EXPECT_EQ(counters_.backend(index).packets, 0u);
}

TEST_F(ManagerTest, EndsAfterASignal) {
  const int signal_fd = eventfd(1, EFD_CLOEXEC);
  manager_.Run(signal_fd, std::nullopt);
  close(signal_fd);
}

TEST_F(ManagerTest, EndsWhenNoPacketArrivesForTheGivenTime) {
  const int signal_fd = eventfd(0, EFD_CLOEXEC);
  idle_ms_ = 500;
  manager_.Run(signal_fd, 500);
  close(signal_fd);
}

}  // namespace
}  // namespace fairlead
