#include "lib/link/stats.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <string_view>

#include "lib/base/utf8.h"

namespace fairlead {
namespace {

static_assert(std::endian::native == std::endian::little, "bodies are little-endian");

constexpr uint64_t kStatsMagic = 0x5354415453444c46;  // "FLDSTATS" as it lies in memory
constexpr uint32_t kStatsVersion = 5;

// Drop counts, then service, backend, port and worker records follow, each sized by its count here.
struct StatsHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t drop_count;
  uint64_t service_count;
  uint64_t backend_count;
  uint64_t generation;
  uint64_t uptime_ms;
  uint64_t worker_count;
  uint64_t rx_packets;
  uint64_t rx_bytes;
  uint64_t tx_packets;
  uint64_t tx_bytes;
  uint64_t generated;
  uint64_t to_kernel;
  uint64_t flow_capacity;
  uint64_t flow_records;
  uint64_t flow_pins;
  uint64_t flow_new;
  uint64_t flow_old;
  uint64_t flow_evicted;
  uint64_t flow_untracked;
  uint64_t flow_swept_at_ms_ago;
  uint64_t port_count;
};
static_assert(sizeof(StatsHeader) == 22 * 8);

struct ServiceStatsRecord {
  uint64_t id;
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
  uint32_t left_out;  // LeftOut
  uint64_t packets;
  uint64_t bytes;
  uint64_t new_flows;
  uint64_t flows;
  uint64_t pins;
  uint64_t shifting_slots;
};
static_assert(sizeof(BackendStatsRecord) == 56);

constexpr uint64_t kPortHasSteering = 1;
constexpr uint64_t kPortSteeringAttached = 2;
constexpr uint64_t kPortHasKernelPath = 4;
constexpr uint64_t kPortFlags = 7;

struct PortStatsRecord {
  char name[kMaxPortNameBytes + 1];  // NUL-padded UTF-8
  char interface[kMaxPortNameBytes + 1];
  uint64_t flags;
  uint64_t steered_to_dataplane;
  uint64_t steered_to_kernel;
  uint64_t steered_no_socket;
  uint64_t kernel_delivered;
  uint64_t kernel_lost;
  uint64_t kernel_received;
  uint64_t kernel_sent;
  uint64_t kernel_unsent;
};
static_assert(sizeof(PortStatsRecord) == 200);

struct WorkerStatsRecord {
  uint64_t longest_pause_us;
};
static_assert(sizeof(WorkerStatsRecord) == 8);

// More could not come from one snapshot (snapshot/format.h); keeps the size arithmetic in 64 bits.
constexpr uint64_t kMaxStatsRecords = 1U << 20;

template <typename Record>
void Append(const Record& record, std::vector<std::byte>* out) {
  const size_t at = out->size();
  out->resize(at + sizeof(record));
  std::memcpy(out->data() + at, &record, sizeof(record));
}

// REQUIRES enough bytes left.
template <typename Record>
Record Take(std::span<const std::byte>* rest) {
  Record record;
  std::memcpy(&record, rest->data(), sizeof(record));
  *rest = rest->subspan(sizeof(record));
  return record;
}

StatsHeader MakeHeader(const DataplaneStats& stats) {
  StatsHeader header{};
  header.magic = kStatsMagic;
  header.version = kStatsVersion;
  header.drop_count = static_cast<uint32_t>(kDropReasonCount);
  header.service_count = stats.services.size();
  header.backend_count = stats.backends.size();
  header.generation = stats.generation;
  header.uptime_ms = stats.uptime_ms;
  header.worker_count = stats.workers.size();
  header.rx_packets = stats.totals.rx_packets;
  header.rx_bytes = stats.totals.rx_bytes;
  header.tx_packets = stats.totals.tx_packets;
  header.tx_bytes = stats.totals.tx_bytes;
  header.generated = stats.totals.generated;
  header.to_kernel = stats.totals.to_kernel;
  header.flow_capacity = stats.flows.capacity;
  header.flow_records = stats.flows.records;
  header.flow_pins = stats.flows.pins;
  header.flow_new = stats.flows.new_flows;
  header.flow_old = stats.flows.old_flows;
  header.flow_evicted = stats.flows.evicted;
  header.flow_untracked = stats.flows.untracked;
  header.flow_swept_at_ms_ago = stats.flows.swept_at_ms_ago;
  header.port_count = stats.ports.size();
  return header;
}

DataplaneStats FromHeader(const StatsHeader& header) {
  DataplaneStats stats;
  stats.generation = header.generation;
  stats.uptime_ms = header.uptime_ms;
  stats.totals.rx_packets = header.rx_packets;
  stats.totals.rx_bytes = header.rx_bytes;
  stats.totals.tx_packets = header.tx_packets;
  stats.totals.tx_bytes = header.tx_bytes;
  stats.totals.generated = header.generated;
  stats.totals.to_kernel = header.to_kernel;
  stats.flows = {header.flow_capacity,  header.flow_records,
                 header.flow_pins,      header.flow_new,
                 header.flow_old,       header.flow_evicted,
                 header.flow_untracked, header.flow_swept_at_ms_ago};
  return stats;
}

Status CheckHeader(const StatsHeader& header, uint64_t total_bytes) {
  const auto refuse = [](const char* field, uint64_t value, const std::string& why) {
    return InvalidArgument("statistics: " + std::string(field) + ": " + std::to_string(value) +
                           " " + why);
  };
  if (header.magic != kStatsMagic) return InvalidArgument("statistics: foreign magic");
  if (header.version != kStatsVersion) {
    return refuse("version", header.version, "is not " + std::to_string(kStatsVersion));
  }
  if (header.drop_count != kDropReasonCount) {
    return refuse("drop_count", header.drop_count,
                  "is not this build's " + std::to_string(kDropReasonCount) +
                      "; control plane and dataplane are of different versions");
  }
  if (header.service_count > kMaxStatsRecords) {
    return refuse("service_count", header.service_count, "is above the limit");
  }
  if (header.backend_count > kMaxStatsRecords) {
    return refuse("backend_count", header.backend_count, "is above the limit");
  }
  if (header.worker_count > kMaxStatsWorkers) {
    return refuse("worker_count", header.worker_count, "is above the limit");
  }
  if (header.port_count > kMaxStatsPorts) {
    return refuse("port_count", header.port_count, "is above the limit");
  }
  const uint64_t expected = sizeof(header) + header.drop_count * sizeof(uint64_t) +
                            header.service_count * sizeof(ServiceStatsRecord) +
                            header.backend_count * sizeof(BackendStatsRecord) +
                            header.port_count * sizeof(PortStatsRecord) +
                            header.worker_count * sizeof(WorkerStatsRecord);
  if (total_bytes != expected) {
    return refuse("length", total_bytes, "bytes, the counts ask for " + std::to_string(expected));
  }
  return {};
}

void PutName(std::string_view name, char (&out)[kMaxPortNameBytes + 1]) {
  size_t used = 0;
  while (!name.empty() && name.front() != '\0') {
    const size_t length = Utf8SequenceLength(name);
    if (used + std::max<size_t>(length, 1) > kMaxPortNameBytes) return;
    if (length == 0) {
      out[used++] = '?';
    } else {
      std::memcpy(out + used, name.data(), length);
      used += length;
    }
    name.remove_prefix(std::max<size_t>(length, 1));
  }
}

PortStatsRecord ToRecord(const PortStats& port) {
  PortStatsRecord record{};
  PutName(port.name, record.name);
  PutName(port.interface, record.interface);
  if (port.steering) {
    record.flags |= kPortHasSteering | (port.steering->attached ? kPortSteeringAttached : 0);
    record.steered_to_dataplane = port.steering->to_dataplane;
    record.steered_to_kernel = port.steering->to_kernel;
    record.steered_no_socket = port.steering->no_socket;
  }
  if (port.kernel_path) {
    record.flags |= kPortHasKernelPath;
    record.kernel_delivered = port.kernel_path->delivered;
    record.kernel_lost = port.kernel_path->lost;
    record.kernel_received = port.kernel_path->received;
    record.kernel_sent = port.kernel_path->sent;
    record.kernel_unsent = port.kernel_path->unsent;
  }
  return record;
}

Result<std::string> TakeName(const char (&bytes)[kMaxPortNameBytes + 1], const char* field) {
  const std::string name(bytes, strnlen(bytes, sizeof(bytes)));
  if (name.size() <= kMaxPortNameBytes && IsUtf8(name)) return name;
  return InvalidArgument(std::string(field) + ": is not UTF-8 of at most " +
                         std::to_string(kMaxPortNameBytes) + " bytes");
}

Result<PortStats> FromRecord(const PortStatsRecord& record) {
  PortStats port;
  ASSIGN_OR_RETURN(port.name, TakeName(record.name, "name"));
  ASSIGN_OR_RETURN(port.interface, TakeName(record.interface, "interface"));
  if ((record.flags & ~kPortFlags) != 0) return InvalidArgument("flags: unknown ones are set");
  if ((record.flags & kPortHasSteering) != 0) {
    port.steering =
        SteeringStats{(record.flags & kPortSteeringAttached) != 0, record.steered_to_dataplane,
                      record.steered_to_kernel, record.steered_no_socket};
  }
  if ((record.flags & kPortHasKernelPath) != 0) {
    port.kernel_path =
        KernelPathStats{record.kernel_delivered, record.kernel_lost, record.kernel_received,
                        record.kernel_sent, record.kernel_unsent};
  }
  // One encoding: nothing behind a name's end, no flag or count of what the port does not have.
  const PortStatsRecord canonical = ToRecord(port);
  if (std::memcmp(&record, &canonical, sizeof(record)) != 0) {
    return InvalidArgument("flags: more is set than they speak of");
  }
  return port;
}

Status TakePorts(uint64_t count, std::span<const std::byte>* rest, std::vector<PortStats>* ports) {
  ports->reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    Result<PortStats> port = FromRecord(Take<PortStatsRecord>(rest));
    if (!port.ok()) {
      return InvalidArgument("statistics: ports[" + std::to_string(i) + "]." +
                             port.status().message());
    }
    ports->push_back(*std::move(port));
  }
  return {};
}

}  // namespace

std::vector<std::byte> EncodeStats(const DataplaneStats& stats, std::vector<std::byte> memory) {
  CHECK(stats.services.size() <= kMaxStatsRecords && stats.backends.size() <= kMaxStatsRecords);
  CHECK(stats.ports.size() <= kMaxStatsPorts && stats.workers.size() <= kMaxStatsWorkers);
  std::vector<std::byte> out = std::move(memory);
  out.clear();
  out.reserve(sizeof(StatsHeader) + kDropReasonCount * sizeof(uint64_t) +
              stats.services.size() * sizeof(ServiceStatsRecord) +
              stats.backends.size() * sizeof(BackendStatsRecord) +
              stats.ports.size() * sizeof(PortStatsRecord) +
              stats.workers.size() * sizeof(WorkerStatsRecord));
  Append(MakeHeader(stats), &out);
  for (const uint64_t drops : stats.totals.drops) Append(drops, &out);
  for (const ServiceStats& s : stats.services) {
    Append(ServiceStatsRecord{s.id, s.packets, s.bytes, s.drops, s.slots, s.shifting_slots,
                              s.pinned_slots},
           &out);
  }
  for (const BackendStats& b : stats.backends) {
    Append(BackendStatsRecord{b.id, static_cast<uint32_t>(b.left_out), b.packets, b.bytes,
                              b.new_flows, b.flows, b.pins, b.shifting_slots},
           &out);
  }
  for (const PortStats& port : stats.ports) Append(ToRecord(port), &out);
  for (const WorkerStats& w : stats.workers) Append(WorkerStatsRecord{w.longest_pause_us}, &out);
  return out;
}

Result<DataplaneStats> DecodeStats(std::span<const std::byte> bytes, DataplaneStats memory) {
  if (bytes.size() < sizeof(StatsHeader)) {
    return InvalidArgument("statistics: length: " + std::to_string(bytes.size()) +
                           " bytes are less than a header of " +
                           std::to_string(sizeof(StatsHeader)));
  }
  std::span<const std::byte> rest = bytes;
  const auto header = Take<StatsHeader>(&rest);
  RETURN_IF_ERROR(CheckHeader(header, bytes.size()));
  DataplaneStats stats = FromHeader(header);
  stats.services = std::move(memory.services);
  stats.services.clear();
  stats.backends = std::move(memory.backends);
  stats.backends.clear();
  for (uint64_t& drops : stats.totals.drops) drops = Take<uint64_t>(&rest);
  stats.services.reserve(header.service_count);
  for (uint64_t i = 0; i < header.service_count; ++i) {
    const auto r = Take<ServiceStatsRecord>(&rest);
    if (r.id > UINT32_MAX) {
      return InvalidArgument("statistics: services[" + std::to_string(i) +
                             "].id: " + std::to_string(r.id) + " is above 32 bits");
    }
    stats.services.push_back({static_cast<uint32_t>(r.id), r.packets, r.bytes, r.drops, r.slots,
                              r.shifting_slots, r.pinned_slots});
  }
  stats.backends.reserve(header.backend_count);
  for (uint64_t i = 0; i < header.backend_count; ++i) {
    const auto r = Take<BackendStatsRecord>(&rest);
    if (r.left_out >= kLeftOutCount) {
      return InvalidArgument("statistics: backends[" + std::to_string(i) +
                             "].left_out: " + std::to_string(r.left_out) +
                             " is unknown; control plane and dataplane are of different versions");
    }
    stats.backends.push_back({r.id, r.packets, r.bytes, r.new_flows, r.flows, r.pins,
                              r.shifting_slots, static_cast<LeftOut>(r.left_out)});
  }
  RETURN_IF_ERROR(TakePorts(header.port_count, &rest, &stats.ports));
  stats.workers.reserve(header.worker_count);
  for (uint64_t i = 0; i < header.worker_count; ++i) {
    stats.workers.push_back({Take<WorkerStatsRecord>(&rest).longest_pause_us});
  }
  return stats;
}

}  // namespace fairlead
