#include "lib/link/stats.h"

#include <cstring>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

// Offsets of the header's fields (stats.cc).
constexpr size_t kVersionAt = 8;
constexpr size_t kDropCountAt = 12;
constexpr size_t kServiceCountAt = 16;
constexpr size_t kBackendCountAt = 24;
constexpr size_t kWorkerCountAt = 48;
constexpr size_t kPortCountAt = 168;
constexpr size_t kHeaderBytes = 176;

DataplaneStats SampleStats() {
  DataplaneStats stats;
  stats.generation = 1;
  stats.uptime_ms = 2;
  stats.totals.rx_packets = 4;
  stats.totals.rx_bytes = 5;
  stats.totals.tx_packets = 6;
  stats.totals.tx_bytes = 7;
  stats.totals.generated = 8;
  stats.totals.to_kernel = 9;
  for (size_t i = 0; i < kDropReasonCount; ++i) stats.totals.drops[i] = 100 + i;
  stats.flows = {10, 11, 12, 13, 14, 15, 16, 17};
  stats.services = {{1, 2, 3, 4, 5, 6, 7}, {20, 21, 22, 23, 24, 25, 26}};
  stats.backends = {{30, 31, 32, 33, 34, 35, 36, LeftOut::k_mtu_too_small}};
  stats.ports = {{"wan", "eth0", SteeringStats{true, 40, 41, 42}},
                 {"lan", "lan0", std::nullopt, KernelPathStats{50, 51, 52, 53, 54}},
                 {"null", ""}};
  stats.workers = {{60}, {61}, {62}};
  return stats;
}

template <typename T>
void Poke(size_t at, T value, std::vector<std::byte>* bytes) {
  std::memcpy(bytes->data() + at, &value, sizeof(value));
}

TEST(Stats, ComeBackAsTheyWereSent) {
  const DataplaneStats sent = SampleStats();
  const Result<DataplaneStats> got = DecodeStats(EncodeStats(sent));
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(got->generation, 1U);
  EXPECT_EQ(got->uptime_ms, 2U);
  ASSERT_EQ(got->workers.size(), 3U);
  EXPECT_EQ(got->workers[0].longest_pause_us, 60U);
  EXPECT_EQ(got->workers[2].longest_pause_us, 62U);
  const PacketTotals& totals = got->totals;
  EXPECT_THAT((std::vector{totals.rx_packets, totals.rx_bytes, totals.tx_packets, totals.tx_bytes,
                           totals.generated, totals.to_kernel}),
              ElementsAreArray({4U, 5U, 6U, 7U, 8U, 9U}));
  EXPECT_THAT(totals.drops, ElementsAreArray(sent.totals.drops));
  const FlowTotals& flows = got->flows;
  EXPECT_THAT((std::vector{flows.capacity, flows.records, flows.pins, flows.new_flows,
                           flows.old_flows, flows.evicted, flows.untracked, flows.swept_at_ms_ago}),
              ElementsAreArray({10U, 11U, 12U, 13U, 14U, 15U, 16U, 17U}));
  ASSERT_EQ(got->services.size(), 2U);
  const ServiceStats& service = got->services[1];
  EXPECT_EQ(service.id, 20U);
  EXPECT_THAT((std::vector{service.packets, service.bytes, service.drops, service.slots,
                           service.shifting_slots, service.pinned_slots}),
              ElementsAreArray({21U, 22U, 23U, 24U, 25U, 26U}));
  ASSERT_EQ(got->backends.size(), 1U);
  const BackendStats& backend = got->backends[0];
  EXPECT_EQ(backend.id, 30U);
  EXPECT_THAT((std::vector{backend.packets, backend.bytes, backend.new_flows, backend.flows,
                           backend.pins, backend.shifting_slots}),
              ElementsAreArray({31U, 32U, 33U, 34U, 35U, 36U}));
  EXPECT_EQ(backend.left_out, LeftOut::k_mtu_too_small);
}

TEST(Stats, PortsComeBackAsTheyWereSent) {
  const DataplaneStats got = DecodeStats(EncodeStats(SampleStats())).value();
  ASSERT_EQ(got.ports.size(), 3U);
  EXPECT_EQ(got.ports[0].name, "wan");
  EXPECT_EQ(got.ports[0].interface, "eth0");
  ASSERT_TRUE(got.ports[0].steering.has_value());
  const SteeringStats& steering = *got.ports[0].steering;
  EXPECT_TRUE(steering.attached);
  EXPECT_THAT((std::vector{steering.to_dataplane, steering.to_kernel, steering.no_socket}),
              ElementsAreArray({40U, 41U, 42U}));
  EXPECT_FALSE(got.ports[0].kernel_path.has_value());
  EXPECT_FALSE(got.ports[1].steering.has_value());
  ASSERT_TRUE(got.ports[1].kernel_path.has_value());
  const KernelPathStats& path = *got.ports[1].kernel_path;
  EXPECT_THAT((std::vector{path.delivered, path.lost, path.received, path.sent, path.unsent}),
              ElementsAreArray({50U, 51U, 52U, 53U, 54U}));
  EXPECT_EQ(got.ports[2].name, "null");
  EXPECT_EQ(got.ports[2].interface, "");
  EXPECT_FALSE(got.ports[2].steering.has_value() || got.ports[2].kernel_path.has_value());
}

TEST(Stats, NamesOfPortsAreCutAndMadeUtf8) {
  const auto name_of = [](const std::string& name) {
    DataplaneStats stats;
    stats.ports = {{name, "eth0"}};
    return DecodeStats(EncodeStats(stats)).value().ports.at(0).name;
  };
  EXPECT_EQ(name_of(std::string(63, 'x')), std::string(63, 'x'));
  EXPECT_EQ(name_of(std::string(64, 'x')), std::string(63, 'x'));
  EXPECT_EQ(name_of(std::string(62, 'x') + "\xc3\xa9"), std::string(62, 'x'));
  EXPECT_EQ(name_of("w\xff\xc3n"), "w??n");
}

TEST(Stats, AreRefusedWhenCutAtAnyByte) {
  const auto bytes = EncodeStats(SampleStats());
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(DecodeStats(std::span(bytes).first(length)).ok()) << length;
  }
}

TEST(Stats, AreRefusedWithBytesBehindThem) {
  auto bytes = EncodeStats(SampleStats());
  bytes.push_back(std::byte{0});
  EXPECT_THAT(DecodeStats(bytes).status().message(), HasSubstr("statistics: length: "));
}

struct BadField {
  const char* name;
  void (*change)(std::vector<std::byte>*);
  const char* message;
};

constexpr size_t kFirstServiceAt = kHeaderBytes + kDropReasonCount * 8;
constexpr size_t kFirstPortAt = kFirstServiceAt + 3 * 56;

const BadField kBadFields[] = {
    {"Magic", [](auto* bytes) { Poke<uint8_t>(0, 0, bytes); }, "foreign magic"},
    {"Version", [](auto* bytes) { Poke<uint32_t>(kVersionAt, 9, bytes); },
     "statistics: version: 9 is not 5"},
    {"DropCount", [](auto* bytes) { Poke<uint32_t>(kDropCountAt, 1, bytes); },
     "statistics: drop_count: 1 is not this build's"},
    {"ServiceCount", [](auto* bytes) { Poke<uint64_t>(kServiceCountAt, ~uint64_t{0}, bytes); },
     "statistics: service_count: 18446744073709551615 is above the limit"},
    {"ServiceCountOffByOne", [](auto* bytes) { Poke<uint64_t>(kServiceCountAt, 3, bytes); },
     "statistics: length: "},
    {"BackendCount", [](auto* bytes) { Poke<uint64_t>(kBackendCountAt, 1U << 21, bytes); },
     "statistics: backend_count: 2097152 is above the limit"},
    {"WorkerCount", [](auto* bytes) { Poke<uint64_t>(kWorkerCountAt, 1025, bytes); },
     "statistics: worker_count: 1025 is above the limit"},
    {"WorkerCountOffByOne", [](auto* bytes) { Poke<uint64_t>(kWorkerCountAt, 4, bytes); },
     "statistics: length: "},
    {"ServiceId", [](auto* bytes) { Poke<uint64_t>(kFirstServiceAt, uint64_t{1} << 32, bytes); },
     "statistics: services[0].id: 4294967296 is above 32 bits"},
    {"BackendLeftOut", [](auto* bytes) { Poke<uint32_t>(kFirstServiceAt + 2 * 56 + 4, 99, bytes); },
     "statistics: backends[0].left_out: 99 is unknown"},
    {"PortCount", [](auto* bytes) { Poke<uint64_t>(kPortCountAt, 1U << 20, bytes); },
     "statistics: port_count: 1048576 is above the limit"},
    {"PortName", [](auto* bytes) { Poke<uint8_t>(kFirstPortAt, 0xff, bytes); },
     "statistics: ports[0].name: is not UTF-8"},
    {"PortInterface",
     [](auto* bytes) {
       for (size_t i = 0; i < 64; ++i) Poke<char>(kFirstPortAt + 200 + 64 + i, 'x', bytes);
     },
     "statistics: ports[1].interface: is not UTF-8 of at most 63 bytes"},
    {"PortFlags", [](auto* bytes) { Poke<uint64_t>(kFirstPortAt + 128, 8, bytes); },
     "statistics: ports[0].flags: unknown ones are set"},
    {"PortCountsWithoutFlag",
     [](auto* bytes) { Poke<uint64_t>(kFirstPortAt + 200 + 136, 1, bytes); },
     "statistics: ports[1].flags: more is set than they speak of"},
    {"PortAttachedWithoutSteering",
     [](auto* bytes) { Poke<uint64_t>(kFirstPortAt + 400 + 128, 2, bytes); },
     "statistics: ports[2].flags: more is set than they speak of"},
    {"PortBytesBehindName", [](auto* bytes) { Poke<char>(kFirstPortAt + 5, 'x', bytes); },
     "statistics: ports[0].flags: more is set than they speak of"},
};

class StatsFields : public ::testing::TestWithParam<BadField> {};

TEST_P(StatsFields, AreRefusedByName) {
  auto bytes = EncodeStats(SampleStats());
  GetParam().change(&bytes);
  EXPECT_THAT(DecodeStats(bytes).status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(All, StatsFields, ::testing::ValuesIn(kBadFields),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Stats, TakeAnyBytesWithoutHarm) {
  constexpr uint64_t kSeed = 20250111;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const auto good = EncodeStats(SampleStats());
  size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good;
    for (uint64_t i = 1 + random() % 4; i > 0; --i) {
      bytes[random() % kHeaderBytes] = std::byte{static_cast<uint8_t>(random())};
    }
    if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 64));
    if (!DecodeStats(bytes).ok()) ++refused;
  }
  EXPECT_GT(refused, 5'000U);
  EXPECT_LT(refused, 20'000U);
}

}  // namespace
}  // namespace fairlead
