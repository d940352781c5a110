#include "lib/link/stats.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/link/stats_wire.h"

namespace fairlead {
namespace {

using stats_wire::Append;
using stats_wire::CheckLimit;
using stats_wire::kMaxStatsRecords;
using stats_wire::PortStatsRecord;
using stats_wire::Refuse;
using stats_wire::Take;
using stats_wire::TotalsRecord;

constexpr size_t kMaxOtherDrops = 512;
constexpr uint32_t kMaxReasons = 1024;      // drop reasons; also left-out reasons
constexpr uint32_t kMaxRecordBytes = 4096;  // also for the header
constexpr size_t kReasonNameBytes = 32;     // NUL-padded; 1..31 of a-z, 0-9 and _

struct Section {
  uint32_t count;
  uint32_t record_bytes;  // of each record, including fields that this release does not know
};

struct StatsHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;
  Section drops;
  Section left_out;
  Section services;
  Section backends;
  Section ports;
  Section workers;
  uint64_t generation;
  uint64_t uptime_ms;
  TotalsRecord totals;
  uint64_t probe_packets;
  uint64_t probes_dropped;
};
static_assert(sizeof(StatsHeader) == 208);

struct DropRecord {
  char name[kReasonNameBytes];
  uint64_t count;
};
static_assert(sizeof(DropRecord) == 40);

struct LeftOutRecord {
  char name[kReasonNameBytes];
};
static_assert(sizeof(LeftOutRecord) == 32);

struct ServiceStatsRecord {
  uint32_t id;
  uint32_t reserved;  // 0
  uint64_t packets;
  uint64_t bytes;
  uint64_t drops;
  uint64_t slots;
  uint64_t shifting_slots;
  uint64_t pinned_slots;
};
static_assert(sizeof(ServiceStatsRecord) == 56);

struct BackendStatsRecord {
  uint32_t id;
  uint32_t left_out;  // index into the section of left-out reasons
  uint64_t packets;
  uint64_t bytes;
  uint64_t new_flows;
  uint64_t flows;
  uint64_t pins;
  uint64_t shifting_slots;
  uint64_t handshakes_sampled;
  uint64_t handshakes_unanswered;
};
static_assert(sizeof(BackendStatsRecord) == 72);

struct WorkerStatsRecord {
  uint64_t longest_pause_us;
  uint64_t rx_packets;
};
static_assert(sizeof(WorkerStatsRecord) == 16);

template <typename Record>
Section SectionOf(size_t count) {
  return {static_cast<uint32_t>(count), sizeof(Record)};
}

StatsHeader MakeHeader(const DataplaneStats& stats) {
  StatsHeader header{};
  header.magic = stats_wire::kMagic;
  header.version = kStatsVersion;
  header.header_bytes = sizeof(header);
  header.drops = SectionOf<DropRecord>(kDropReasonCount + stats.other_drops.size());
  header.left_out = SectionOf<LeftOutRecord>(kLeftOutCount);
  header.services = SectionOf<ServiceStatsRecord>(stats.services.size());
  header.backends = SectionOf<BackendStatsRecord>(stats.backends.size());
  header.ports = SectionOf<PortStatsRecord>(stats.ports.size());
  header.workers = SectionOf<WorkerStatsRecord>(stats.workers.size());
  header.generation = stats.generation;
  header.uptime_ms = stats.uptime_ms;
  header.totals = stats_wire::ToRecord(stats.totals, stats.flows);
  header.probe_packets = stats.probes.packets;
  header.probes_dropped = stats.probes.dropped;
  return header;
}

uint64_t TotalBytes(const StatsHeader& header) {
  uint64_t bytes = header.header_bytes;
  for (const Section& section : {header.drops, header.left_out, header.services, header.backends,
                                 header.ports, header.workers}) {
    bytes += uint64_t{section.count} * section.record_bytes;
  }
  return bytes;
}

template <typename Record>
Status CheckSection(const char* name, const Section& section, uint64_t most) {
  const std::string field = name;
  RETURN_IF_ERROR(CheckLimit((field + "_count").c_str(), section.count, most));
  if (section.record_bytes < sizeof(Record)) {
    return Refuse((field + "_record_bytes").c_str(), section.record_bytes,
                  "is less than " + std::to_string(sizeof(Record)));
  }
  return CheckLimit((field + "_record_bytes").c_str(), section.record_bytes, kMaxRecordBytes);
}

Status CheckHeader(const StatsHeader& header, uint64_t total_bytes) {
  if (header.header_bytes < sizeof(header)) {
    return Refuse("header_bytes", header.header_bytes,
                  "is less than " + std::to_string(sizeof(header)));
  }
  RETURN_IF_ERROR(CheckLimit("header_bytes", header.header_bytes, kMaxRecordBytes));
  RETURN_IF_ERROR(CheckSection<DropRecord>("drop", header.drops, kMaxReasons));
  RETURN_IF_ERROR(CheckSection<LeftOutRecord>("left_out", header.left_out, kMaxReasons));
  RETURN_IF_ERROR(CheckSection<ServiceStatsRecord>("service", header.services, kMaxStatsRecords));
  RETURN_IF_ERROR(CheckSection<BackendStatsRecord>("backend", header.backends, kMaxStatsRecords));
  RETURN_IF_ERROR(CheckSection<PortStatsRecord>("port", header.ports, kMaxStatsPorts));
  RETURN_IF_ERROR(CheckSection<WorkerStatsRecord>("worker", header.workers, kMaxStatsWorkers));
  // A longer header may declare sections that this release does not know, after all others.
  const uint64_t expected = TotalBytes(header);
  const bool may_be_more = header.header_bytes > sizeof(header);
  if (total_bytes < expected || (total_bytes > expected && !may_be_more)) {
    return Refuse("length", total_bytes, "bytes; the counts need " + std::to_string(expected));
  }
  return {};
}

void PutName(std::string_view name, char (&out)[kReasonNameBytes]) {
  CHECK(name.size() < kReasonNameBytes);
  name.copy(out, name.size());
}

Result<std::string_view> TakeName(const char (&bytes)[kReasonNameBytes], const char* section,
                                  size_t index) {
  const std::string_view name(bytes, strnlen(bytes, sizeof(bytes)));
  const bool good =
      !name.empty() && name.size() < kReasonNameBytes &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
  if (good) return name;
  return InvalidArgument("statistics: " + std::string(section) + "[" + std::to_string(index) +
                         "].name: is not 1 to 31 of a-z, 0-9 and _");
}

void AppendDrops(const DataplaneStats& stats, std::vector<std::byte>* out) {
  const auto append = [&](std::string_view name, uint64_t count) {
    DropRecord record{};
    PutName(name, record.name);
    record.count = count;
    Append(record, out);
  };
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    append(DropReasonName(static_cast<DropReason>(i)), stats.totals.drops[i]);
  }
  for (const NamedCount& other : stats.other_drops) append(other.name, other.count);
}

Status TakeDrops(const Section& section, std::span<const std::byte>* rest, DataplaneStats* stats) {
  for (uint32_t i = 0; i < section.count; ++i) {
    const auto record = Take<DropRecord>(rest, section.record_bytes);
    ASSIGN_OR_RETURN(const std::string_view name, TakeName(record.name, "drops", i));
    const std::optional<DropReason> reason = FindDropReason(name);
    if (reason.has_value()) {
      stats->totals.drops[static_cast<size_t>(*reason)] += record.count;
    } else if (const auto same = std::ranges::find(stats->other_drops, name, &NamedCount::name);
               same != stats->other_drops.end()) {
      same->count += record.count;
    } else {
      RETURN_IF_ERROR(
          CheckLimit("unknown drop_count", stats->other_drops.size() + 1, kMaxOtherDrops));
      stats->other_drops.push_back({std::string(name), record.count});
    }
  }
  return {};
}

// The left-out reasons in the order of the sender's section. Those that this release does not know
// are k_unknown.
Result<std::vector<LeftOut>> TakeLeftOutReasons(const Section& section,
                                                std::span<const std::byte>* rest) {
  std::vector<LeftOut> reasons;
  reasons.reserve(section.count);
  for (uint32_t i = 0; i < section.count; ++i) {
    const auto record = Take<LeftOutRecord>(rest, section.record_bytes);
    ASSIGN_OR_RETURN(const std::string_view name, TakeName(record.name, "left_out", i));
    reasons.push_back(FindLeftOut(name).value_or(LeftOut::k_unknown));
  }
  return reasons;
}

void TakeServices(const Section& section, std::span<const std::byte>* rest,
                  std::vector<ServiceStats>* services) {
  services->clear();
  services->reserve(section.count);
  for (uint32_t i = 0; i < section.count; ++i) {
    const auto r = Take<ServiceStatsRecord>(rest, section.record_bytes);
    services->push_back(
        {r.id, r.packets, r.bytes, r.drops, r.slots, r.shifting_slots, r.pinned_slots});
  }
}

Status TakeBackends(const Section& section, const std::vector<LeftOut>& reasons,
                    std::span<const std::byte>* rest, std::vector<BackendStats>* backends) {
  backends->clear();
  backends->reserve(section.count);
  for (uint32_t i = 0; i < section.count; ++i) {
    const auto r = Take<BackendStatsRecord>(rest, section.record_bytes);
    if (r.left_out >= reasons.size()) {
      return InvalidArgument("statistics: backends[" + std::to_string(i) +
                             "].left_out: " + std::to_string(r.left_out) +
                             " is not below left_out_count " + std::to_string(reasons.size()));
    }
    backends->push_back({r.id, r.packets, r.bytes, r.new_flows, r.flows, r.pins, r.shifting_slots,
                         reasons[r.left_out], r.handshakes_sampled, r.handshakes_unanswered});
  }
  return {};
}

void EncodeV6(const DataplaneStats& stats, std::vector<std::byte>* out) {
  const StatsHeader header = MakeHeader(stats);
  out->reserve(TotalBytes(header));
  Append(header, out);
  AppendDrops(stats, out);
  for (size_t i = 0; i < kLeftOutCount; ++i) {
    LeftOutRecord record{};
    PutName(LeftOutName(static_cast<LeftOut>(i)), record.name);
    Append(record, out);
  }
  for (const ServiceStats& s : stats.services) {
    Append(ServiceStatsRecord{s.id, 0, s.packets, s.bytes, s.drops, s.slots, s.shifting_slots,
                              s.pinned_slots},
           out);
  }
  for (const BackendStats& b : stats.backends) {
    Append(BackendStatsRecord{b.id, static_cast<uint32_t>(b.left_out), b.packets, b.bytes,
                              b.new_flows, b.flows, b.pins, b.shifting_slots, b.handshakes_sampled,
                              b.handshakes_unanswered},
           out);
  }
  for (const PortStats& port : stats.ports) Append(stats_wire::ToRecord(port), out);
  for (const WorkerStats& w : stats.workers) {
    Append(WorkerStatsRecord{w.longest_pause_us, w.rx_packets}, out);
  }
}

Result<DataplaneStats> DecodeV6(std::span<const std::byte> bytes, DataplaneStats memory) {
  if (bytes.size() < sizeof(StatsHeader)) {
    return Refuse("length", bytes.size(),
                  "bytes are less than a header of " + std::to_string(sizeof(StatsHeader)));
  }
  std::span<const std::byte> rest = bytes;
  const auto header = Take<StatsHeader>(&rest);
  RETURN_IF_ERROR(CheckHeader(header, bytes.size()));
  rest = bytes.subspan(header.header_bytes);
  DataplaneStats stats;
  stats.services = std::move(memory.services);
  stats.backends = std::move(memory.backends);
  stats.generation = header.generation;
  stats.uptime_ms = header.uptime_ms;
  stats_wire::FromRecord(header.totals, &stats.totals, &stats.flows);
  stats.probes = {header.probe_packets, header.probes_dropped};
  RETURN_IF_ERROR(TakeDrops(header.drops, &rest, &stats));
  ASSIGN_OR_RETURN(const std::vector<LeftOut> reasons, TakeLeftOutReasons(header.left_out, &rest));
  TakeServices(header.services, &rest, &stats.services);
  RETURN_IF_ERROR(TakeBackends(header.backends, reasons, &rest, &stats.backends));
  RETURN_IF_ERROR(
      stats_wire::TakePorts(header.ports.count, header.ports.record_bytes, &rest, &stats.ports));
  stats.workers.reserve(header.workers.count);
  for (uint32_t i = 0; i < header.workers.count; ++i) {
    const auto record = Take<WorkerStatsRecord>(&rest, header.workers.record_bytes);
    stats.workers.push_back({record.longest_pause_us, record.rx_packets});
  }
  return stats;
}

}  // namespace

std::vector<std::byte> EncodeStats(const DataplaneStats& stats, std::vector<std::byte> memory,
                                   uint32_t version) {
  CHECK(stats.services.size() <= kMaxStatsRecords && stats.backends.size() <= kMaxStatsRecords);
  CHECK(stats.ports.size() <= kMaxStatsPorts && stats.workers.size() <= kMaxStatsWorkers);
  CHECK(stats.other_drops.size() <= kMaxOtherDrops);
  CHECK(version == kStatsVersion || version == kFirstStatsVersion);
  std::vector<std::byte> out = std::move(memory);
  out.clear();
  if (version == kFirstStatsVersion) {
    stats_wire::EncodeV3(stats, &out);
  } else {
    EncodeV6(stats, &out);
  }
  return out;
}

Result<DataplaneStats> DecodeStats(std::span<const std::byte> bytes, DataplaneStats memory) {
  if (bytes.size() < sizeof(stats_wire::Start)) {
    return Refuse("length", bytes.size(), "bytes are less than magic and version");
  }
  std::span<const std::byte> rest = bytes;
  const auto start = Take<stats_wire::Start>(&rest);
  if (start.magic != stats_wire::kMagic) return InvalidArgument("statistics: foreign magic");
  switch (start.version) {
    case kFirstStatsVersion:
      return stats_wire::DecodeV3(bytes, std::move(memory));
    case kStatsVersion:
      return DecodeV6(bytes, std::move(memory));
    default:
      return Refuse("version", start.version,
                    "is neither " + std::to_string(kFirstStatsVersion) + " nor " +
                        std::to_string(kStatsVersion));
  }
}

}  // namespace fairlead
