#include "lib/link/stats_wire.h"

#include <algorithm>
#include <string_view>

#include "lib/base/utf8.h"

namespace fairlead::stats_wire {
namespace {

// PortStatsRecord::flags.
constexpr uint64_t kPortHasSteering = 1;
constexpr uint64_t kPortSteeringAttached = 2;
constexpr uint64_t kPortHasKernelPath = 4;
constexpr uint64_t kPortHasLink = 8;
constexpr uint64_t kPortLinkIsUp = 16;
constexpr uint64_t kPortHasNic = 32;
constexpr uint64_t kPortFlagsOfV3 = kPortHasSteering | kPortSteeringAttached | kPortHasKernelPath;

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

Result<std::string> TakeName(const char (&bytes)[kMaxPortNameBytes + 1], const char* field) {
  const std::string name(bytes, strnlen(bytes, sizeof(bytes)));
  if (name.size() <= kMaxPortNameBytes && IsUtf8(name)) return name;
  return InvalidArgument(std::string(field) + ": is not UTF-8 of at most " +
                         std::to_string(kMaxPortNameBytes) + " bytes");
}

}  // namespace

Status Refuse(const char* field, uint64_t value, const std::string& why) {
  return InvalidArgument("statistics: " + std::string(field) + ": " + std::to_string(value) + " " +
                         why);
}

Status CheckLimit(const char* field, uint64_t value, uint64_t most) {
  return value <= most ? Status() : Refuse(field, value, "is above the limit");
}

TotalsRecord ToRecord(const PacketTotals& totals, const FlowTotals& flows) {
  return {totals.rx_packets, totals.rx_bytes,      totals.tx_packets, totals.tx_bytes,
          totals.generated,  totals.to_kernel,     flows.capacity,    flows.records,
          flows.pins,        flows.new_flows,      flows.old_flows,   flows.evicted,
          flows.untracked,   flows.swept_at_ms_ago};
}

void FromRecord(const TotalsRecord& record, PacketTotals* totals, FlowTotals* flows) {
  totals->rx_packets = record.rx_packets;
  totals->rx_bytes = record.rx_bytes;
  totals->tx_packets = record.tx_packets;
  totals->tx_bytes = record.tx_bytes;
  totals->generated = record.generated;
  totals->to_kernel = record.to_kernel;
  *flows = {record.flow_capacity,  record.flow_records,
            record.flow_pins,      record.flow_new,
            record.flow_old,       record.flow_evicted,
            record.flow_untracked, record.flow_swept_at_ms_ago};
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
  if (port.link) {
    record.flags |= kPortHasLink | (port.link->is_up ? kPortLinkIsUp : 0);
    record.link_speed_mbps = port.link->speed_mbps;
    record.link_changes = port.link->changes;
    record.link_for_ms = port.link->for_ms;
  }
  if (port.nic) {
    record.flags |= kPortHasNic;
    record.nic_rx_missed = port.nic->rx_missed;
    record.nic_rx_errors = port.nic->rx_errors;
    record.nic_rx_no_buffer = port.nic->rx_no_buffer;
    record.nic_tx_errors = port.nic->tx_errors;
  }
  return record;
}

Result<PortStats> FromRecord(const PortStatsRecord& record) {
  PortStats port;
  ASSIGN_OR_RETURN(port.name, TakeName(record.name, "name"));
  ASSIGN_OR_RETURN(port.interface, TakeName(record.interface, "interface"));
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
  if ((record.flags & kPortHasLink) != 0) {
    port.link = LinkStats{(record.flags & kPortLinkIsUp) != 0,
                          static_cast<uint32_t>(record.link_speed_mbps), record.link_changes,
                          record.link_for_ms};
  }
  if ((record.flags & kPortHasNic) != 0) {
    port.nic = NicStats{record.nic_rx_missed, record.nic_rx_errors, record.nic_rx_no_buffer,
                        record.nic_tx_errors};
  }
  return port;
}

Status TakePorts(uint64_t count, size_t record_bytes, std::span<const std::byte>* rest,
                 std::vector<PortStats>* ports) {
  ports->reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    PortStatsRecord record{};
    std::memcpy(&record, rest->data(), std::min(record_bytes, sizeof(record)));
    *rest = rest->subspan(record_bytes);
    if (record_bytes < sizeof(record)) record.flags &= kPortFlagsOfV3;
    Result<PortStats> port = FromRecord(record);
    if (!port.ok()) {
      return InvalidArgument("statistics: ports[" + std::to_string(i) + "]." +
                             port.status().message());
    }
    ports->push_back(*std::move(port));
  }
  return {};
}

}  // namespace fairlead::stats_wire
