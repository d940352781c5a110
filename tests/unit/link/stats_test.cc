#include "lib/link/stats.h"

#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

// Offsets of the header's fields in version 6 (stats.cc).
constexpr size_t kVersionAt = 8;
constexpr size_t kHeaderBytesAt = 12;
constexpr size_t kDropsAt = 16;  // each section: count, then bytes of a record
constexpr size_t kServicesAt = 32;
constexpr size_t kBackendsAt = 40;
constexpr size_t kPortsAt = 48;
constexpr size_t kWorkersAt = 56;
constexpr size_t kHeaderBytes = 208;
constexpr size_t kPortRecordBytes = 256;

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
  stats.probes = {10, 11};
  for (size_t i = 0; i < kDropReasonCount; ++i) stats.totals.drops[i] = 100 + i;
  stats.other_drops = {{"of_a_later_release", 99}};
  stats.flows = {10, 11, 12, 13, 14, 15, 16, 17};
  stats.services = {{1, 2, 3, 4, 5, 6, 7}, {20, 21, 22, 23, 24, 25, 26}};
  stats.backends = {{30, 31, 32, 33, 34, 35, 36, LeftOut::k_mtu_too_small, 37, 38}};
  stats.ports = {{"wan", "eth0", SteeringStats{true, 40, 41, 42}, std::nullopt,
                  LinkStats{true, 25'000, 70, 71}, NicStats{80, 81, 82, 83}},
                 {"lan", "lan0", std::nullopt, KernelPathStats{50, 51, 52, 53, 54},
                  LinkStats{false, 0, 72, 73}},
                 {"null", ""}};
  stats.workers = {{60, 70}, {61, 71}, {62, 72}};
  return stats;
}

template <typename T>
void Poke(size_t at, T value, std::vector<std::byte>* bytes) {
  std::memcpy(bytes->data() + at, &value, sizeof(value));
}

TEST(Stats, AreDecodedAsTheyWereEncoded) {
  const DataplaneStats sent = SampleStats();
  const Result<DataplaneStats> got = DecodeStats(EncodeStats(sent));
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(got->generation, 1U);
  EXPECT_EQ(got->uptime_ms, 2U);
  ASSERT_EQ(got->workers.size(), 3U);
  EXPECT_EQ(got->workers[0].longest_pause_us, 60U);
  EXPECT_EQ(got->workers[2].longest_pause_us, 62U);
  EXPECT_EQ(got->workers[2].rx_packets, 72U);
  const PacketTotals& totals = got->totals;
  EXPECT_THAT((std::vector{totals.rx_packets, totals.rx_bytes, totals.tx_packets, totals.tx_bytes,
                           totals.generated, totals.to_kernel}),
              ElementsAreArray({4U, 5U, 6U, 7U, 8U, 9U}));
  EXPECT_THAT(totals.drops, ElementsAreArray(sent.totals.drops));
  EXPECT_EQ(got->other_drops, sent.other_drops);
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
  EXPECT_EQ(backend.handshakes_sampled, 37U);
  EXPECT_EQ(backend.handshakes_unanswered, 38U);
}

TEST(Stats, PortsAreDecodedAsTheyWereEncoded) {
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

TEST(Stats, LinksAndNicCountersAreDecodedAsTheyWereEncoded) {
  const DataplaneStats got = DecodeStats(EncodeStats(SampleStats())).value();
  ASSERT_EQ(got.ports.size(), 3U);
  ASSERT_TRUE(got.ports[0].link.has_value() && got.ports[1].link.has_value());
  const LinkStats& up = *got.ports[0].link;
  EXPECT_TRUE(up.is_up);
  EXPECT_EQ(up.speed_mbps, 25'000U);
  EXPECT_EQ(up.changes, 70U);
  EXPECT_EQ(up.for_ms, 71U);
  EXPECT_FALSE(got.ports[1].link->is_up);
  EXPECT_EQ(got.ports[1].link->changes, 72U);
  ASSERT_TRUE(got.ports[0].nic.has_value());
  const NicStats& nic = *got.ports[0].nic;
  EXPECT_THAT((std::vector{nic.rx_missed, nic.rx_errors, nic.rx_no_buffer, nic.tx_errors}),
              ElementsAreArray({80U, 81U, 82U, 83U}));
  EXPECT_FALSE(got.ports[1].nic.has_value());
  EXPECT_FALSE(got.ports[2].link.has_value() || got.ports[2].nic.has_value());
}

TEST(Stats, PortNamesAreTruncatedAndMadeUtf8) {
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

TEST(Stats, AreRefusedWhenTruncatedAtAnyByte) {
  for (const uint32_t version : {kFirstStatsVersion, kStatsVersion}) {
    const auto bytes = EncodeStats(SampleStats(), {}, version);
    for (size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_FALSE(DecodeStats(std::span(bytes).first(length)).ok()) << length;
    }
  }
}

TEST(Stats, AreRefusedWithExtraBytes) {
  for (const uint32_t version : {kFirstStatsVersion, kStatsVersion}) {
    auto bytes = EncodeStats(SampleStats(), {}, version);
    bytes.push_back(std::byte{0});
    EXPECT_THAT(DecodeStats(bytes).status().message(), HasSubstr("statistics: length: "));
  }
}

// Encodes as a later release may: with more fields at the end of the header and of records, and
// with more sections at the end.
std::vector<std::byte> OfALaterRelease(const DataplaneStats& stats) {
  const auto bytes = EncodeStats(stats);
  std::vector<std::byte> later(bytes.begin(), bytes.begin() + kHeaderBytes);
  size_t from = kHeaderBytes;
  for (size_t at = kDropsAt; at <= kWorkersAt; at += 8) {
    uint32_t count = 0;
    uint32_t record_bytes = 0;
    std::memcpy(&count, &bytes[at], sizeof(count));
    std::memcpy(&record_bytes, &bytes[at + 4], sizeof(record_bytes));
    Poke<uint32_t>(at + 4, record_bytes + 8, &later);
    for (uint32_t i = 0; i < count; ++i) {
      later.insert(later.end(), &bytes[from], &bytes[from] + record_bytes);
      later.insert(later.end(), 8, std::byte{0xee});
      from += record_bytes;
    }
  }
  later.insert(later.begin() + kHeaderBytes, 16, std::byte{0xee});
  Poke<uint32_t>(kHeaderBytesAt, kHeaderBytes + 16, &later);
  later.insert(later.end(), 24, std::byte{0xee});
  return later;
}

TEST(Stats, UnknownFieldsAndSectionsAreSkipped) {
  const DataplaneStats sent = SampleStats();
  const Result<DataplaneStats> got = DecodeStats(OfALaterRelease(sent));
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(EncodeStats(*got), EncodeStats(sent));
}

TEST(Stats, LeftOutReasonsAreIdentifiedByName) {
  auto bytes = EncodeStats(SampleStats());
  const std::string name(LeftOutName(LeftOut::k_mtu_too_small));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t at = text.find(name);
  ASSERT_NE(at, std::string_view::npos);
  Poke<char>(at, 'z', &bytes);
  const Result<DataplaneStats> got = DecodeStats(bytes);
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(got->backends[0].left_out, LeftOut::k_unknown);
}

TEST(Stats, DropReasonsAreIdentifiedByNameAndUnknownOnesAreKept) {
  auto bytes = EncodeStats(SampleStats());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t at = text.find("hairpin");
  ASSERT_NE(at, std::string_view::npos);
  Poke<char>(at, 'z', &bytes);
  const Result<DataplaneStats> got = DecodeStats(bytes);
  ASSERT_TRUE(got.ok()) << got.status().message();
  const auto hairpin = static_cast<size_t>(DropReason::k_hairpin);
  EXPECT_EQ(got->totals.drops[hairpin], 0U);
  EXPECT_THAT(got->other_drops, ElementsAre(NamedCount{"zairpin", 100 + hairpin},
                                            NamedCount{"of_a_later_release", 99}));
}

uint64_t AllDrops(const DataplaneStats& stats) {
  uint64_t sum = 0;
  for (const uint64_t count : stats.totals.drops) sum += count;
  for (const NamedCount& other : stats.other_drops) sum += other.count;
  return sum;
}

TEST(Stats, InVersion3KeepTheSumOfDrops) {
  const DataplaneStats sent = SampleStats();
  const Result<DataplaneStats> got = DecodeStats(EncodeStats(sent, {}, kFirstStatsVersion));
  ASSERT_TRUE(got.ok()) << got.status().message();
  EXPECT_EQ(AllDrops(*got), AllDrops(sent));
  const auto no_backend = static_cast<size_t>(DropReason::k_no_backend);
  const auto hairpin = static_cast<size_t>(DropReason::k_hairpin);
  const auto spread_full = static_cast<size_t>(DropReason::k_spread_full);
  EXPECT_EQ(got->totals.drops[no_backend], sent.totals.drops[no_backend] +
                                               sent.totals.drops[hairpin] +
                                               sent.totals.drops[spread_full] + 99);
  EXPECT_EQ(got->totals.rx_packets, 4U);
  EXPECT_EQ(got->flows.swept_at_ms_ago, 17U);
  ASSERT_EQ(got->services.size(), 2U);
  EXPECT_EQ(got->services[1].pinned_slots, 26U);
  ASSERT_EQ(got->backends.size(), 1U);
  EXPECT_EQ(got->backends[0].shifting_slots, 36U);
  EXPECT_EQ(got->backends[0].left_out, LeftOut::kNo);
  EXPECT_TRUE(got->workers.empty());
}

// Release 0.1.0 has no links, and a record of 200 bytes for each port.
TEST(Stats, InVersion3HaveNoLinks) {
  const DataplaneStats sent = SampleStats();
  auto bytes = EncodeStats(sent, {}, kFirstStatsVersion);
  constexpr size_t kPortBytes = 200;
  const size_t first_port_at = bytes.size() - sent.ports.size() * kPortBytes;
  EXPECT_EQ(std::memcmp(&bytes[first_port_at + kPortBytes], "lan", 4), 0);
  // Flags of a later version mean nothing here.
  Poke<uint64_t>(first_port_at + 2 * kPortBytes + 128, 8 | 16 | 32, &bytes);
  const Result<DataplaneStats> got = DecodeStats(bytes);
  ASSERT_TRUE(got.ok()) << got.status().message();
  ASSERT_EQ(got->ports.size(), 3U);
  EXPECT_EQ(got->ports[0].steering.value().no_socket, 42U);
  EXPECT_EQ(got->ports[1].kernel_path.value().unsent, 54U);
  for (const PortStats& port : got->ports) {
    EXPECT_FALSE(port.link.has_value() || port.nic.has_value()) << port.name;
  }
}

// Fields without a known flag may be of a later release.
TEST(Stats, PortFieldsAreReadOnlyIfTheirFlagIsSet) {
  auto bytes = EncodeStats(SampleStats());
  const size_t last_port_at = bytes.size() - 3 * 16 - kPortRecordBytes;
  Poke<uint64_t>(last_port_at + 128, 2 | 16 | 64, &bytes);
  Poke<uint64_t>(last_port_at + 136, 7, &bytes);
  Poke<uint64_t>(last_port_at + kPortRecordBytes - 8, 7, &bytes);
  const Result<DataplaneStats> got = DecodeStats(bytes);
  ASSERT_TRUE(got.ok()) << got.status().message();
  const PortStats& port = got->ports[2];
  EXPECT_FALSE(port.steering || port.kernel_path || port.link || port.nic);
}

struct BadField {
  const char* name;
  void (*change)(std::vector<std::byte>*);
  const char* message;
};

constexpr size_t kDropRecordBytes = 40;
constexpr size_t kLeftOutRecordBytes = 32;
constexpr size_t kFirstLeftOutAt = kHeaderBytes + (kDropReasonCount + 1) * kDropRecordBytes;
constexpr size_t kFirstServiceAt = kFirstLeftOutAt + kLeftOutCount * kLeftOutRecordBytes;
constexpr size_t kFirstPortAt = kFirstServiceAt + 2 * 56 + 72;

const BadField kBadFields[] = {
    {"Magic", [](auto* bytes) { Poke<uint8_t>(0, 0, bytes); }, "foreign magic"},
    {"Version", [](auto* bytes) { Poke<uint32_t>(kVersionAt, 5, bytes); },
     "statistics: version: 5 is neither 3 nor 6"},
    {"HeaderBytes", [](auto* bytes) { Poke<uint32_t>(kHeaderBytesAt, 200, bytes); },
     "statistics: header_bytes: 200 is less than 208"},
    {"HeaderBytesAboveTheLimit", [](auto* bytes) { Poke<uint32_t>(kHeaderBytesAt, 8192, bytes); },
     "statistics: header_bytes: 8192 is above the limit"},
    {"DropCount", [](auto* bytes) { Poke<uint32_t>(kDropsAt, 1025, bytes); },
     "statistics: drop_count: 1025 is above the limit"},
    {"DropName", [](auto* bytes) { Poke<char>(kHeaderBytes, '-', bytes); },
     "statistics: drops[0].name: is not 1 to 31 of"},
    {"DropNameTooLong",
     [](auto* bytes) {
       for (size_t i = 0; i < 32; ++i) Poke<char>(kHeaderBytes + i, 'x', bytes);
     },
     "statistics: drops[0].name: is not 1 to 31 of"},
    {"LeftOutName", [](auto* bytes) { Poke<char>(kFirstLeftOutAt, 0, bytes); },
     "statistics: left_out[0].name: is not 1 to 31 of"},
    {"ServiceCount", [](auto* bytes) { Poke<uint32_t>(kServicesAt, ~uint32_t{0}, bytes); },
     "statistics: service_count: 4294967295 is above the limit"},
    {"ServiceCountOffByOne", [](auto* bytes) { Poke<uint32_t>(kServicesAt, 3, bytes); },
     "statistics: length: "},
    {"ServiceRecordBytes", [](auto* bytes) { Poke<uint32_t>(kServicesAt + 4, 48, bytes); },
     "statistics: service_record_bytes: 48 is less than 56"},
    {"ServiceRecordBytesAboveTheLimit",
     [](auto* bytes) { Poke<uint32_t>(kServicesAt + 4, 1U << 20, bytes); },
     "statistics: service_record_bytes: 1048576 is above the limit"},
    {"BackendCount", [](auto* bytes) { Poke<uint32_t>(kBackendsAt, 1U << 21, bytes); },
     "statistics: backend_count: 2097152 is above the limit"},
    {"WorkerCount", [](auto* bytes) { Poke<uint32_t>(kWorkersAt, 1025, bytes); },
     "statistics: worker_count: 1025 is above the limit"},
    {"WorkerCountOffByOne", [](auto* bytes) { Poke<uint32_t>(kWorkersAt, 4, bytes); },
     "statistics: length: "},
    {"BackendLeftOut", [](auto* bytes) { Poke<uint32_t>(kFirstServiceAt + 2 * 56 + 4, 99, bytes); },
     "statistics: backends[0].left_out: 99 is not below left_out_count"},
    {"PortCount", [](auto* bytes) { Poke<uint32_t>(kPortsAt, 1U << 20, bytes); },
     "statistics: port_count: 1048576 is above the limit"},
    {"PortName", [](auto* bytes) { Poke<uint8_t>(kFirstPortAt, 0xff, bytes); },
     "statistics: ports[0].name: is not UTF-8"},
    {"PortInterface",
     [](auto* bytes) {
       for (size_t i = 0; i < 64; ++i)
         Poke<char>(kFirstPortAt + kPortRecordBytes + 64 + i, 'x', bytes);
     },
     "statistics: ports[1].interface: is not UTF-8 of at most 63 bytes"},
};

class StatsFields : public ::testing::TestWithParam<BadField> {};

TEST_P(StatsFields, AreRefusedWithTheNameOfTheField) {
  auto bytes = EncodeStats(SampleStats());
  GetParam().change(&bytes);
  EXPECT_THAT(DecodeStats(bytes).status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(All, StatsFields, ::testing::ValuesIn(kBadFields),
                         [](const auto& row) { return std::string(row.param.name); });

const BadField kBadFieldsOfVersion3[] = {
    {"DropCount", [](auto* bytes) { Poke<uint32_t>(12, 38, bytes); },
     "statistics: drop_count: 38 is not 37, as in version 3"},
    {"ServiceCount", [](auto* bytes) { Poke<uint64_t>(16, ~uint64_t{0}, bytes); },
     "statistics: service_count: 18446744073709551615 is above the limit"},
    {"BackendCount", [](auto* bytes) { Poke<uint64_t>(24, 1U << 21, bytes); },
     "statistics: backend_count: 2097152 is above the limit"},
    {"PortCount", [](auto* bytes) { Poke<uint64_t>(168, 1U << 20, bytes); },
     "statistics: port_count: 1048576 is above the limit"},
    {"ServiceId", [](auto* bytes) { Poke<uint64_t>(176 + 37 * 8, uint64_t{1} << 32, bytes); },
     "statistics: services[0].id: 4294967296 is above 32 bits"},
    {"BackendId",
     [](auto* bytes) { Poke<uint64_t>(176 + 37 * 8 + 2 * 56, uint64_t{1} << 32, bytes); },
     "statistics: backends[0].id: 4294967296 is above 32 bits"},
};

class StatsFieldsOfVersion3 : public ::testing::TestWithParam<BadField> {};

TEST_P(StatsFieldsOfVersion3, AreRefusedWithTheNameOfTheField) {
  auto bytes = EncodeStats(SampleStats(), {}, kFirstStatsVersion);
  GetParam().change(&bytes);
  EXPECT_THAT(DecodeStats(bytes).status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(All, StatsFieldsOfVersion3, ::testing::ValuesIn(kBadFieldsOfVersion3),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Stats, SurviveRandomChanges) {
  constexpr uint64_t kSeed = 20250111;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const std::vector<std::byte> good[] = {EncodeStats(SampleStats()),
                                         EncodeStats(SampleStats(), {}, kFirstStatsVersion)};
  size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good[random() % 2];
    for (uint64_t i = 1 + random() % 4; i > 0; --i) {
      bytes[random() % 176] = std::byte{static_cast<uint8_t>(random())};
    }
    if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 64));
    if (!DecodeStats(bytes).ok()) ++refused;
  }
  EXPECT_GT(refused, 5'000U);
  EXPECT_LT(refused, 20'000U);
}

}  // namespace
}  // namespace fairlead
