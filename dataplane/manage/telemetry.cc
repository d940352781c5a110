#include "dataplane/manage/telemetry.h"

#include <rte_ethdev.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#include <cerrno>
#include <mutex>
#include <string>
#include <string_view>

namespace fairlead {
namespace {

// A reply may have 512 items and some 16 KB of text; the operator can ask for one service.
constexpr int kMaxItems = 100;

// Telemetry's callbacks get no argument of ours.
struct Registry {
  std::mutex mutex;
  Manager* manager = nullptr;
  const PortSet* ports = nullptr;
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
    AddNumber(data, "workers", stats.worker_count);
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
    AddNumber(data, "new_flows", stats.flows.new_flows);
    AddNumber(data, "evicted", stats.flows.evicted);
    AddNumber(data, "untracked", stats.flows.untracked);
  });
  return 0;
}

// Appends one dictionary, filled by `fill`, to the array `data`.
template <typename Fill>
void AddItem(rte_tel_data* data, Fill&& fill) {
  rte_tel_data* const item = rte_tel_data_alloc();
  if (item == nullptr) return;
  rte_tel_data_start_dict(item);
  fill(item);
  if (rte_tel_data_add_array_container(data, item, 0) != 0) rte_tel_data_free(item);
}

std::string_view Wanted(const char* parameters) {
  return parameters == nullptr ? std::string_view() : std::string_view(parameters);
}

int OnServices(const char* /*command*/, const char* parameters, rte_tel_data* data) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (registry.manager == nullptr) return -ENODEV;
  const std::string_view wanted = Wanted(parameters);
  rte_tel_data_start_array(data, RTE_TEL_CONTAINER);
  registry.manager->WithStats([&](const DataplaneStats& stats, const ForwardingTables* tables) {
    int items = 0;
    for (size_t i = 0; i < stats.services.size() && items < kMaxItems; ++i) {
      const ServiceEntry& entry = tables->services()[i];
      if (!wanted.empty() && wanted != entry.name) continue;
      ++items;
      AddItem(data, [&](rte_tel_data* item) {
        rte_tel_data_add_dict_string(item, "name", entry.name.c_str());
        AddNumber(item, "backends", entry.backend_count);
        AddNumber(item, "packets", stats.services[i].packets);
        AddNumber(item, "bytes", stats.services[i].bytes);
        AddNumber(item, "drops", stats.services[i].drops);
      });
    }
  });
  return 0;
}

int OnBackends(const char* /*command*/, const char* parameters, rte_tel_data* data) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (registry.manager == nullptr) return -ENODEV;
  const std::string_view wanted = Wanted(parameters);
  rte_tel_data_start_array(data, RTE_TEL_CONTAINER);
  registry.manager->WithStats([&](const DataplaneStats& stats, const ForwardingTables* tables) {
    int items = 0;
    for (size_t i = 0; i < stats.backends.size() && items < kMaxItems; ++i) {
      const BackendEntry& entry = tables->backends()[i];
      const std::string& service = tables->services()[entry.service_index].name;
      if (!wanted.empty() && wanted != service) continue;
      ++items;
      AddItem(data, [&](rte_tel_data* item) {
        rte_tel_data_add_dict_string(item, "service", service.c_str());
        rte_tel_data_add_dict_string(item, "address", EndpointOf(entry).c_str());
        AddNumber(item, "packets", stats.backends[i].packets);
        AddNumber(item, "bytes", stats.backends[i].bytes);
        AddNumber(item, "new_flows", stats.backends[i].new_flows);
        AddNumber(item, "flows", stats.backends[i].flows);
      });
    }
  });
  return 0;
}

int OnPorts(const char* /*command*/, const char* /*parameters*/, rte_tel_data* data) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (registry.ports == nullptr) return -ENODEV;
  rte_tel_data_start_array(data, RTE_TEL_CONTAINER);
  for (const Port& port : registry.ports->ports()) {
    rte_eth_stats stats = {};
    rte_eth_stats_get(port.id, &stats);
    AddItem(data, [&](rte_tel_data* item) {
      rte_tel_data_add_dict_string(item, "name", port.name.c_str());
      rte_tel_data_add_dict_string(item, "device", port.device.c_str());
      rte_tel_data_add_dict_string(item, "interface", port.interface.c_str());
      rte_tel_data_add_dict_string(item, "mac", port.view.mac.ToString().c_str());
      AddNumber(item, "mtu", port.view.mtu);
      AddNumber(item, "rx", stats.ipackets);
      AddNumber(item, "tx", stats.opackets);
      AddNumber(item, "rx_missed", stats.imissed);
      AddNumber(item, "rx_errors", stats.ierrors);
      AddNumber(item, "rx_no_buffer", stats.rx_nombuf);
      AddNumber(item, "tx_errors", stats.oerrors);
    });
  }
  return 0;
}

}  // namespace

bool StartTelemetry(Manager* manager, const PortSet* ports) {
  Registry& registry = TheRegistry();
  {
    const std::lock_guard lock(registry.mutex);
    registry.manager = manager;
    registry.ports = ports;
  }
  return rte_telemetry_register_cmd("/fairlead/stats", OnStats,
                                    "All packet and flow counters. Takes no parameters.") == 0 &&
         rte_telemetry_register_cmd("/fairlead/services", OnServices,
                                    "Counters per service. Parameter: a service's name.") == 0 &&
         rte_telemetry_register_cmd("/fairlead/backends", OnBackends,
                                    "Counters per backend. Parameter: a service's name.") == 0 &&
         rte_telemetry_register_cmd("/fairlead/ports", OnPorts,
                                    "Ports and their device counters. Takes no parameters.") == 0;
}

void StopTelemetry() {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  registry.manager = nullptr;
  registry.ports = nullptr;
}

}  // namespace fairlead
