#include "dataplane/manage/stats.h"

#include <nlohmann/json.hpp>

#include "lib/net/address.h"

namespace fairlead {
namespace {

ServiceStats SumService(const StatsSource& source, const ServiceEntry& service) {
  ServiceStats sum;
  sum.id = service.id;
  for (const WorkerCounters* worker : source.workers) {
    const ServiceCounters& counters = worker->service(service.counter_index);
    sum.packets += ReadCounter(counters.packets);
    sum.bytes += ReadCounter(counters.bytes);
    sum.drops += ReadCounter(counters.drops);
  }
  sum.slots = service.slot_table->size();
  sum.shifting_slots = service.slot_table->shifting_count();
  sum.pinned_slots = service.slot_table->pinned_count();
  return sum;
}

BackendStats SumBackend(const StatsSource& source, const BackendEntry& backend) {
  BackendStats sum;
  sum.id = backend.id;
  sum.left_out = backend.left_out;
  for (const WorkerCounters* worker : source.workers) {
    const BackendCounters& counters = worker->backend(backend.counter_index);
    sum.packets += ReadCounter(counters.packets);
    sum.bytes += ReadCounter(counters.bytes);
    sum.new_flows += ReadCounter(counters.new_flows);
    const HandshakeCounters& handshakes = worker->handshakes(backend.counter_index);
    sum.handshakes_sampled += ReadCounter(handshakes.sampled);
    sum.handshakes_unanswered += ReadCounter(handshakes.unanswered);
  }
  const ServiceEntry& service = source.tables->services()[backend.service_index];
  sum.shifting_slots =
      service.slot_table->shifting_count_of(source.tables->LocalIndexOf(service, &backend));
  if (source.sweeper != nullptr) {
    const BackendRecords records = source.sweeper->RecordsOf(backend.counter_index);
    sum.flows = records.flows;
    sum.pins = records.pins;
  }
  return sum;
}

}  // namespace

DataplaneStats CollectStats(const StatsSource& source, DataplaneStats memory) {
  DataplaneStats stats;
  stats.services = std::move(memory.services);
  stats.services.clear();
  stats.backends = std::move(memory.backends);
  stats.backends.clear();
  stats.uptime_ms = source.uptime_ms;
  stats.workers.resize(source.workers.size());
  for (size_t i = 0; i < stats.workers.size(); ++i) {
    if (source.longest_pause_us) stats.workers[i].longest_pause_us = source.longest_pause_us(i);
    stats.workers[i].rx_packets = ReadCounter(source.workers[i]->totals.rx_packets);
  }
  stats.probes = source.probes;
  stats.flows.capacity = source.flow_capacity;
  stats.flows.swept_at_ms_ago = source.swept_ms_ago;
  if (source.sweeper != nullptr) {
    stats.flows.records = source.sweeper->records();
    stats.flows.pins = source.sweeper->pins();
  }
  for (const WorkerCounters* worker : source.workers) {
    Accumulate(worker->totals, &stats.totals);
    stats.flows.new_flows += ReadCounter(worker->new_flows);
    stats.flows.old_flows += ReadCounter(worker->old_flows);
    stats.flows.evicted += ReadCounter(worker->evicted);
    stats.flows.untracked += ReadCounter(worker->untracked);
  }
  if (source.tables == nullptr) return stats;
  stats.generation = source.tables->generation();
  stats.services.reserve(source.tables->services().size());
  for (const ServiceEntry& service : source.tables->services()) {
    stats.services.push_back(SumService(source, service));
  }
  stats.backends.reserve(source.tables->backends().size());
  for (const BackendEntry& backend : source.tables->backends()) {
    stats.backends.push_back(SumBackend(source, backend));
  }
  return stats;
}

void Accumulate(const KernelPathStats& worker, KernelPathStats* sum) {
  sum->delivered += worker.delivered;
  sum->lost += worker.lost;
  sum->received += worker.received;
  sum->sent += worker.sent;
  sum->unsent += worker.unsent;
}

std::string EndpointOf(const BackendEntry& backend) {
  Endpoint endpoint;
  endpoint.port = backend.port;
  endpoint.address = backend.family == 4
                         ? IpAddress::FromV4(std::span<const uint8_t, 4>(backend.address, 4))
                         : IpAddress::FromV6(std::span<const uint8_t, 16>(backend.address, 16));
  return endpoint.ToString();
}

std::string ReportJson(const DataplaneStats& stats, const ForwardingTables* tables,
                       uint64_t mbufs_in_use, std::span<const PortKernelPath> kernel_paths) {
  nlohmann::ordered_json report;
  report["rx"] = stats.totals.rx_packets;
  report["tx"] = stats.totals.tx_packets;
  report["generated"] = stats.totals.generated;
  report["to_kernel"] = stats.totals.to_kernel;
  report["probes"] = {{"packets", stats.probes.packets}, {"dropped", stats.probes.dropped}};
  report["drops"] = nlohmann::ordered_json::object();
  for (size_t reason = 0; reason < kDropReasonCount; ++reason) {
    if (stats.totals.drops[reason] == 0) continue;
    const std::string name(DropReasonName(static_cast<DropReason>(reason)));
    report["drops"][name] = stats.totals.drops[reason];
  }
  report["mbufs_in_use"] = mbufs_in_use;
  report["longest_pauses_us"] = nlohmann::ordered_json::array();
  report["rx_by_worker"] = nlohmann::ordered_json::array();
  for (const WorkerStats& worker : stats.workers) {
    report["longest_pauses_us"].push_back(worker.longest_pause_us);
    report["rx_by_worker"].push_back(worker.rx_packets);
  }
  report["services"] = nlohmann::ordered_json::array();
  report["backends"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < stats.services.size(); ++i) {
    const ServiceStats& service = stats.services[i];
    report["services"].push_back({{"name", tables->services()[i].name},
                                  {"packets", service.packets},
                                  {"bytes", service.bytes},
                                  {"drops", service.drops}});
  }
  for (size_t i = 0; i < stats.backends.size(); ++i) {
    const BackendStats& backend = stats.backends[i];
    const BackendEntry& entry = tables->backends()[i];
    report["backends"].push_back({{"service", tables->services()[entry.service_index].name},
                                  {"address", EndpointOf(entry)},
                                  {"packets", backend.packets},
                                  {"bytes", backend.bytes},
                                  {"new_flows", backend.new_flows}});
  }
  if (!kernel_paths.empty()) report["kernel_paths"] = nlohmann::ordered_json::array();
  for (const PortKernelPath& path : kernel_paths) {
    report["kernel_paths"].push_back({{"port", path.port},
                                      {"interface", path.interface},
                                      {"delivered", path.stats.delivered},
                                      {"lost", path.stats.lost},
                                      {"received", path.stats.received},
                                      {"sent", path.stats.sent},
                                      {"unsent", path.stats.unsent}});
  }
  report["generation"] = stats.generation;
  // Replaces invalid UTF-8 in service names, so that this never throws.
  return report.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace fairlead
