#include "dataplane/manage/telemetry.h"

#include <rte_ethdev.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#include <cerrno>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "dataplane/port/port_links.h"

namespace fairlead {
namespace {

// Items of a list. A reply may have about 16 KB of text.
constexpr int kMaxItems = 100;

// Global, since telemetry passes no argument of ours to its callbacks.
struct Registry {
  std::mutex mutex;
  Manager* manager = nullptr;
  const PortSet* ports = nullptr;
  std::function<std::vector<PortKernelPath>()> kernel_paths;
  std::function<std::optional<LinkStats>(uint16_t port_index)> link_of;
};
Registry& TheRegistry() {
  static Registry registry;
  return registry;
}

void AddNumber(rte_tel_data* data, const char* name, uint64_t value) {
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
  rte_tel_data_add_dict_uint(data, name, value);
#else
  rte_tel_data_add_dict_u64(data, name, value);
#endif
}

int OnStats(const char* /*command*/, const char* /*parameters*/, rte_tel_data* data) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (registry.manager == nullptr) return -ENODEV;
  rte_tel_data_start_dict(data);
  registry.manager->WithStats([&](const DataplaneStats& stats, const ForwardingTables*) {
    AddNumber(data, "generation", stats.generation);
    AddNumber(data, "uptime_ms", stats.uptime_ms);
    AddNumber(data, "workers", stats.workers.size());
    AddNumber(data, "rx", stats.totals.rx_packets);
    AddNumber(data, "rx_bytes", stats.totals.rx_bytes);
    AddNumber(data, "tx", stats.totals.tx_packets);
    AddNumber(data, "tx_bytes", stats.totals.tx_bytes);
    AddNumber(data, "generated", stats.totals.generated);
    AddNumber(data, "to_kernel", stats.totals.to_kernel);
    for (size_t i = 1; i < kDropReasonCount; ++i) {
      const std::string name = "drop_" + std::string(DropReasonName(static_cast<DropReason>(i)));
      AddNumber(data, name.c_str(), stats.totals.drops[i]);
    }
    AddNumber(data, "flow_capacity", stats.flows.capacity);
    AddNumber(data, "flow_records", stats.flows.records);
    AddNumber(data, "pins", stats.flows.pins);
    AddNumber(data, "new_flows", stats.flows.new_flows);
    AddNumber(data, "old_flows", stats.flows.old_flows);
    AddNumber(data, "evicted", stats.flows.evicted);
    AddNumber(data, "untracked", stats.flows.untracked);
  });
  return 0;
}

std::string_view Text(const char* parameters) {
  return parameters == nullptr ? std::string_view() : std::string_view(parameters);
}

// Without `wanted`, replies with a list of names. Otherwise calls `fill` for the item of that name;
// -ENOENT if there is none. Telemetry of DPDK 22.11 has no lists of dictionaries.
template <typename Items, typename NameOf, typename Fill>
int ListOrShow(std::string_view wanted, const Items& items, rte_tel_data* data, NameOf&& name_of,
               Fill&& fill) {
  if (wanted.empty()) rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
  int listed = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string name = name_of(items[i]);
    if (wanted.empty() && listed++ < kMaxItems) {
      rte_tel_data_add_array_string(data, name.c_str());
    } else if (name == wanted) {
      rte_tel_data_start_dict(data);
      fill(i);
      return 0;
    }
  }
  return wanted.empty() ? 0 : -ENOENT;
}

int OnServices(const char* /*command*/, const char* parameters, rte_tel_data* data) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (registry.manager == nullptr) return -ENODEV;
  int result = 0;
  registry.manager->WithStats([&](const DataplaneStats& stats, const ForwardingTables* tables) {
    const auto entries = tables == nullptr ? std::span<const ServiceEntry>() : tables->services();
    const auto name_of = [](const ServiceEntry& entry) { return entry.name; };
    result = ListOrShow(Text(parameters), entries, data, name_of, [&](size_t i) {
      AddNumber(data, "backends", entries[i].backend_count);
      AddNumber(data, "packets", stats.services[i].packets);
      AddNumber(data, "bytes", stats.services[i].bytes);
      AddNumber(data, "drops", stats.services[i].drops);
      AddNumber(data, "slots", stats.services[i].slots);
      AddNumber(data, "shifting_slots", stats.services[i].shifting_slots);
      AddNumber(data, "pinned_slots", stats.services[i].pinned_slots);
    });
  });
  return result;
}

// "web" lists the service's backends, "web,10.0.0.11" shows one.
int OnBackends(const char* /*command*/, const char* parameters, rte_tel_data* data) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (registry.manager == nullptr) return -ENODEV;
  const std::string_view text = Text(parameters);
  const size_t comma = text.rfind(',');
  const std::string_view service = text.substr(0, comma);
  const std::string_view wanted =
      comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  int result = -ENOENT;
  registry.manager->WithStats([&](const DataplaneStats& stats, const ForwardingTables* tables) {
    if (tables == nullptr) return;
    for (const ServiceEntry& entry : tables->services()) {
      if (entry.name != service) continue;
      const auto backends = tables->backends().subspan(entry.first_backend, entry.backend_count);
      result = ListOrShow(wanted, backends, data, EndpointOf, [&](size_t i) {
        const BackendStats& sums = stats.backends[entry.first_backend + i];
        AddNumber(data, "packets", sums.packets);
        AddNumber(data, "bytes", sums.bytes);
        AddNumber(data, "new_flows", sums.new_flows);
        AddNumber(data, "flows", sums.flows);
        AddNumber(data, "pins", sums.pins);
        AddNumber(data, "shifting_slots", sums.shifting_slots);
        AddNumber(data, "handshakes_sampled", sums.handshakes_sampled);
        AddNumber(data, "handshakes_unanswered", sums.handshakes_unanswered);
      });
    }
  });
  return result;
}

void AddSteering(rte_tel_data* data, const FrontendSteering& steering) {
  AddNumber(data, "steering_attached", steering.StillAttached() ? 1 : 0);
  const Result<SteeringCounts> counts = steering.Counts();
  if (!counts.ok()) return;
  AddNumber(data, "steered_to_dataplane", counts->to_dataplane);
  AddNumber(data, "steered_to_kernel", counts->to_kernel);
  AddNumber(data, "steered_no_socket", counts->no_socket);
}

void AddQueues(rte_tel_data* data, const QueueSet& queues) {
  const SpreadBy by = queues.plan().by;
  rte_tel_data_add_dict_string(data, "spread",
                               by == SpreadBy::kHardware   ? "hardware"
                               : by == SpreadBy::kSoftware ? "software"
                                                           : "off");
  AddNumber(data, "receive_queues", queues.plan().rx_queues);
  AddNumber(data, "transmit_queues", queues.plan().tx_queues);
}

void AddKernelPath(rte_tel_data* data, const KernelPathStats& stats) {
  AddNumber(data, "kernel_delivered", stats.delivered);
  AddNumber(data, "kernel_lost", stats.lost);
  AddNumber(data, "kernel_received", stats.received);
  AddNumber(data, "kernel_sent", stats.sent);
  AddNumber(data, "kernel_unsent", stats.unsent);
}

void AddLink(rte_tel_data* data, const LinkStats& link) {
  AddNumber(data, "link_up", link.is_up ? 1 : 0);
  AddNumber(data, "link_speed_mbps", link.speed_mbps);
  AddNumber(data, "link_changes", link.changes);
}

int OnPorts(const char* /*command*/, const char* parameters, rte_tel_data* data) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (registry.ports == nullptr) return -ENODEV;
  const auto ports = registry.ports->ports();
  const auto name_of = [](const Port& port) { return port.name; };
  return ListOrShow(Text(parameters), ports, data, name_of, [&](size_t i) {
    const Port& port = ports[i];
    const rte_eth_stats stats = ReadDeviceStats(port).value_or(rte_eth_stats{});
    rte_tel_data_add_dict_string(data, "device", port.device.c_str());
    rte_tel_data_add_dict_string(data, "interface", port.interface.c_str());
    rte_tel_data_add_dict_string(data, "mac", port.view.mac.ToString().c_str());
    AddNumber(data, "mtu", port.view.mtu);
    AddNumber(data, "rx", stats.ipackets);
    AddNumber(data, "tx", stats.opackets);
    AddNumber(data, "rx_missed", stats.imissed);
    AddNumber(data, "rx_errors", stats.ierrors);
    AddNumber(data, "rx_no_buffer", stats.rx_nombuf);
    AddNumber(data, "tx_errors", stats.oerrors);
    if (const auto link = registry.link_of(static_cast<uint16_t>(i))) AddLink(data, *link);
    AddQueues(data, *port.queues);
    if (port.steering) AddSteering(data, *port.steering);
    for (const PortKernelPath& path : registry.kernel_paths()) {
      if (path.port == port.name) AddKernelPath(data, path.stats);
    }
  });
}

}  // namespace

bool StartTelemetry(Manager* manager, const PortSet* ports,
                    std::function<std::vector<PortKernelPath>()> kernel_paths,
                    std::function<std::optional<LinkStats>(uint16_t port_index)> link_of) {
  Registry& registry = TheRegistry();
  {
    const std::lock_guard lock(registry.mutex);
    registry.manager = manager;
    registry.ports = ports;
    registry.kernel_paths = std::move(kernel_paths);
    registry.link_of = std::move(link_of);
  }
  return rte_telemetry_register_cmd("/fairlead/stats", OnStats,
                                    "All packet and flow counters. Takes no parameters.") == 0 &&
         rte_telemetry_register_cmd("/fairlead/services", OnServices,
                                    "Services, or one service's counters (SERVICE).") == 0 &&
         rte_telemetry_register_cmd("/fairlead/backends", OnBackends,
                                    "Backends of a service (SERVICE), or one backend's counters "
                                    "(SERVICE,ADDRESS).") == 0 &&
         rte_telemetry_register_cmd("/fairlead/ports", OnPorts,
                                    "Ports, or one port's device counters (PORT).") == 0;
}

void StopTelemetry() {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  registry.manager = nullptr;
  registry.ports = nullptr;
}

}  // namespace fairlead
