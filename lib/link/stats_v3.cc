// Version 3, which release 0.1.0 (commit ac0086a) writes and reads. Its drop counts have no names.
// They are in the order of that release's reasons.
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "lib/link/stats_wire.h"

namespace fairlead::stats_wire {
namespace {

struct HeaderV3 {
  uint64_t magic;
  uint32_t version;
  uint32_t drop_count;
  uint64_t service_count;
  uint64_t backend_count;
  uint64_t generation;
  uint64_t uptime_ms;
  uint64_t worker_count;
  TotalsRecord totals;
  uint64_t port_count;
};
static_assert(sizeof(HeaderV3) == 22 * 8);

struct ServiceRecordV3 {
  uint64_t id;
  uint64_t packets;
  uint64_t bytes;
  uint64_t drops;
  uint64_t slots;
  uint64_t shifting_slots;
  uint64_t pinned_slots;
};
static_assert(sizeof(ServiceRecordV3) == 56);

struct BackendRecordV3 {
  uint64_t id;
  uint64_t packets;
  uint64_t bytes;
  uint64_t new_flows;
  uint64_t flows;
  uint64_t pins;
  uint64_t shifting_slots;
};
static_assert(sizeof(BackendRecordV3) == 56);

// The reasons of release 0.1.0, in its order. It refuses statistics with another number of reasons.
constexpr std::array<std::string_view, 37> kDropNames = {
    "none",
    "other_mac",
    "group_mac",
    "truncated",
    "vlan_depth",
    "bad_ip_version",
    "bad_ip_header",
    "bad_ip_length",
    "bad_ip_checksum",
    "bad_extension",
    "bad_source",
    "ttl_zero",
    "ttl_expired",
    "fragment",
    "fragment_timeout",
    "fragment_evicted",
    "unsupported_protocol",
    "bad_tcp_header",
    "bad_udp_header",
    "zero_udp_checksum",
    "port_zero",
    "no_frontend",
    "no_backend",
    "no_next_hop",
    "too_big",
    "no_headroom",
    "tx_full",
    "ah_nat",
    "no_buffer",
    "answered",
    "rate_limited",
    "bad_arp",
    "bad_neighbour",
    "address_conflict",
    "bad_icmp",
    "icmp_unsupported",
    "bad_embedded",
};

using DropCounts = std::array<uint64_t, kDropNames.size()>;

size_t IndexOf(std::string_view name) {
  for (size_t i = 0; i < kDropNames.size(); ++i) {
    if (kDropNames[i] == name) return i;
  }
  return IndexOf("no_backend");
}

DropCounts DropsForV3(const DataplaneStats& stats) {
  DropCounts counts{};
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    counts[IndexOf(DropReasonName(static_cast<DropReason>(i)))] += stats.totals.drops[i];
  }
  for (const NamedCount& other : stats.other_drops) counts[IndexOf(other.name)] += other.count;
  return counts;
}

Status CheckHeader(const HeaderV3& header, uint64_t total_bytes) {
  if (header.drop_count != kDropNames.size()) {
    return Refuse("drop_count", header.drop_count,
                  "is not " + std::to_string(kDropNames.size()) + ", as in version 3");
  }
  RETURN_IF_ERROR(CheckLimit("service_count", header.service_count, kMaxStatsRecords));
  RETURN_IF_ERROR(CheckLimit("backend_count", header.backend_count, kMaxStatsRecords));
  RETURN_IF_ERROR(CheckLimit("worker_count", header.worker_count, UINT32_MAX));
  RETURN_IF_ERROR(CheckLimit("port_count", header.port_count, kMaxStatsPorts));
  const uint64_t expected =
      sizeof(header) + sizeof(DropCounts) + header.service_count * sizeof(ServiceRecordV3) +
      header.backend_count * sizeof(BackendRecordV3) + header.port_count * kPortRecordBytesV3;
  if (total_bytes != expected) {
    return Refuse("length", total_bytes, "bytes; the counts need " + std::to_string(expected));
  }
  return {};
}

// Version 3 has ids of 64 bits. Everywhere else they have 32.
Result<uint32_t> IdOf(const char* section, uint64_t index, uint64_t id) {
  if (id <= UINT32_MAX) return static_cast<uint32_t>(id);
  return InvalidArgument("statistics: " + std::string(section) + "[" + std::to_string(index) +
                         "].id: " + std::to_string(id) + " is above 32 bits");
}

void AppendPort(PortStats port, std::vector<std::byte>* out) {
  port.link.reset();
  port.nic.reset();
  Append(ToRecord(port), out);
  out->resize(out->size() - (sizeof(PortStatsRecord) - kPortRecordBytesV3));
}

}  // namespace

void EncodeV3(const DataplaneStats& stats, std::vector<std::byte>* out) {
  HeaderV3 header{};
  header.magic = kMagic;
  header.version = kFirstStatsVersion;
  header.drop_count = kDropNames.size();
  header.service_count = stats.services.size();
  header.backend_count = stats.backends.size();
  header.generation = stats.generation;
  header.uptime_ms = stats.uptime_ms;
  header.worker_count = stats.workers.size();
  header.totals = ToRecord(stats.totals, stats.flows);
  header.port_count = stats.ports.size();
  out->reserve(
      sizeof(header) + sizeof(DropCounts) + stats.services.size() * sizeof(ServiceRecordV3) +
      stats.backends.size() * sizeof(BackendRecordV3) + stats.ports.size() * kPortRecordBytesV3);
  Append(header, out);
  Append(DropsForV3(stats), out);
  for (const ServiceStats& s : stats.services) {
    Append(ServiceRecordV3{s.id, s.packets, s.bytes, s.drops, s.slots, s.shifting_slots,
                           s.pinned_slots},
           out);
  }
  for (const BackendStats& b : stats.backends) {
    Append(
        BackendRecordV3{b.id, b.packets, b.bytes, b.new_flows, b.flows, b.pins, b.shifting_slots},
        out);
  }
  for (const PortStats& port : stats.ports) AppendPort(port, out);
}

Result<DataplaneStats> DecodeV3(std::span<const std::byte> bytes, DataplaneStats memory) {
  if (bytes.size() < sizeof(HeaderV3)) {
    return Refuse("length", bytes.size(),
                  "bytes are less than a header of " + std::to_string(sizeof(HeaderV3)));
  }
  std::span<const std::byte> rest = bytes;
  const auto header = Take<HeaderV3>(&rest);
  RETURN_IF_ERROR(CheckHeader(header, bytes.size()));
  DataplaneStats stats;
  stats.services = std::move(memory.services);
  stats.services.clear();
  stats.backends = std::move(memory.backends);
  stats.backends.clear();
  stats.generation = header.generation;
  stats.uptime_ms = header.uptime_ms;
  FromRecord(header.totals, &stats.totals, &stats.flows);
  const auto drops = Take<DropCounts>(&rest);
  for (size_t i = 0; i < kDropNames.size(); ++i) {
    const std::optional<DropReason> reason = FindDropReason(kDropNames[i]);
    if (reason.has_value()) {
      stats.totals.drops[static_cast<size_t>(*reason)] = drops[i];
    } else {
      stats.other_drops.push_back({std::string(kDropNames[i]), drops[i]});
    }
  }
  stats.services.reserve(header.service_count);
  for (uint64_t i = 0; i < header.service_count; ++i) {
    const auto r = Take<ServiceRecordV3>(&rest);
    ASSIGN_OR_RETURN(const uint32_t id, IdOf("services", i, r.id));
    stats.services.push_back(
        {id, r.packets, r.bytes, r.drops, r.slots, r.shifting_slots, r.pinned_slots});
  }
  stats.backends.reserve(header.backend_count);
  for (uint64_t i = 0; i < header.backend_count; ++i) {
    const auto r = Take<BackendRecordV3>(&rest);
    ASSIGN_OR_RETURN(const uint32_t id, IdOf("backends", i, r.id));
    stats.backends.push_back(
        {id, r.packets, r.bytes, r.new_flows, r.flows, r.pins, r.shifting_slots});
  }
  RETURN_IF_ERROR(TakePorts(header.port_count, kPortRecordBytesV3, &rest, &stats.ports));
  return stats;
}

}  // namespace fairlead::stats_wire
