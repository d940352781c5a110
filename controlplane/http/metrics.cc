#include "controlplane/http/metrics.h"

#include <array>
#include <sstream>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "controlplane/common/log.h"
#include "controlplane/http/views.h"

namespace fairlead {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class FamilyBuilder {
 public:
  FamilyBuilder(MetricType type, std::string name, std::string help) {
    family_.type = type;
    family_.name = std::move(name);
    family_.help = std::move(help);
  }
  template <typename Number>
  FamilyBuilder& Add(Labels labels, Number value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (family_.type == MetricType::Counter) {
      metric.counter.value = static_cast<double>(value);
    } else {
      metric.gauge.value = static_cast<double>(value);
    }
    family_.metric.push_back(std::move(metric));
    return *this;
  }
  MetricFamily Take() { return std::move(family_); }

 private:
  MetricFamily family_;
};

FamilyBuilder Counter(std::string name, std::string help) {
  return {MetricType::Counter, std::move(name), std::move(help)};
}
FamilyBuilder Gauge(std::string name, std::string help) {
  return {MetricType::Gauge, std::move(name), std::move(help)};
}

// Reads the API's state at each call, so it has no state of its own.
class Collector : public prometheus::Collectable {
 public:
  explicit Collector(const Api& api) : api_(api) {}
  std::vector<MetricFamily> Collect() const override {
    std::vector<MetricFamily> families;
    AddControl(&families);
    if (api_.publisher->stats() != nullptr) {
      AddTotals(api_.publisher->stats()->stats, &families);
      AddServices(*api_.publisher->stats(), &families);
      AddPorts(api_.publisher->stats()->stats, &families);
      AddNics(api_.publisher->stats()->stats, &families);
      AddWorkers(api_.publisher->stats()->stats, &families);
    }
    AddLeftOut(&families);
    AddServiceHealth(&families);
    AddBackends(&families);
    return families;
  }

 private:
  void AddControl(std::vector<MetricFamily>* families) const;
  void AddLeftOut(std::vector<MetricFamily>* families) const;
  void AddTotals(const DataplaneStats& stats, std::vector<MetricFamily>* families) const;
  void AddServices(const StatsBook& book, std::vector<MetricFamily>* families) const;
  void AddServiceHealth(std::vector<MetricFamily>* families) const;
  void AddPorts(const DataplaneStats& stats, std::vector<MetricFamily>* families) const;
  void AddNics(const DataplaneStats& stats, std::vector<MetricFamily>* families) const;
  void AddWorkers(const DataplaneStats& stats, std::vector<MetricFamily>* families) const;
  void AddBackends(std::vector<MetricFamily>* families) const;

  const Api& api_;
};

void Collector::AddControl(std::vector<MetricFamily>* families) const {
  const Publisher& publisher = *api_.publisher;
  families->push_back(Gauge("fairlead_generation", "Generation that should be in force.")
                          .Add({}, api_.generations->current())
                          .Take());
  families->push_back(Gauge("fairlead_dataplane_connected", "1 while the dataplane is connected.")
                          .Add({}, publisher.link().connected() ? 1 : 0)
                          .Take());
  families->push_back(
      Gauge("fairlead_dataplane_generation", "Generation in force in all workers; 0: unknown.")
          .Add({}, publisher.in_force_generation())
          .Take());
  families->push_back(
      Gauge("fairlead_dataplane_apply_seconds",
            "Time from receipt of the last snapshot until it was in force in all workers.")
          .Add({}, static_cast<double>(publisher.applied_us()) / 1e6)
          .Take());
  const IsolationStatus& isolation = api_.board->isolation();
  families->push_back(
      Gauge("fairlead_isolated", "Ways to backends that are lost: this host is cut off from them.")
          .Add({}, isolation.lost.size())
          .Take());
  families->push_back(Counter("fairlead_backends_failed_together_total",
                              "How often half of all healthy backend addresses failed together.")
                          .Add({}, isolation.failed_together_count)
                          .Take());
  families->push_back(Counter("fairlead_log_lines_dropped_total",
                              "Lines of fairleadd's log that stderr could not take.")
                          .Add({}, LogLinesDropped())
                          .Take());
  FamilyBuilder requests =
      Counter("fairlead_api_requests_total", "Requests answered by the HTTP API.");
  for (const auto& [key, count] : api_.requests) {
    const auto& [method, route, status] = key;
    requests.Add({{"method", method}, {"route", route}, {"status", std::to_string(status)}}, count);
  }
  families->push_back(requests.Take());
}

void Collector::AddLeftOut(std::vector<MetricFamily>* families) const {
  std::array<uint64_t, kLeftOutCount> counts = {};
  for (const auto& [id, reason] : api_.board->left_out()) ++counts[static_cast<size_t>(reason)];
  FamilyBuilder family =
      Gauge("fairlead_backends_left_out",
            "Backends that the dataplane cannot use and so leaves out, by reason.");
  for (size_t i = 1; i < counts.size(); ++i) {
    family.Add({{"reason", std::string(LeftOutName(static_cast<LeftOut>(i)))}}, counts[i]);
  }
  families->push_back(family.Take());
  uint64_t frontends = 0;
  api_.board->VisitLeftOutFrontends([&](const LeftOutFrontend&) { ++frontends; });
  families->push_back(
      Gauge("fairlead_frontends_left_out", "Frontends that the dataplane does not get.")
          .Add({}, frontends)
          .Take());
}

void Collector::AddTotals(const DataplaneStats& stats, std::vector<MetricFamily>* families) const {
  const PacketTotals& totals = stats.totals;
  families->push_back(Counter("fairlead_packets_total", "Packets by direction.")
                          .Add({{"direction", "rx"}}, totals.rx_packets)
                          .Add({{"direction", "tx"}}, totals.tx_packets)
                          .Add({{"direction", "generated"}}, totals.generated)
                          .Add({{"direction", "to_kernel"}}, totals.to_kernel)
                          .Take());
  families->push_back(Counter("fairlead_bytes_total", "Bytes received and sent.")
                          .Add({{"direction", "rx"}}, totals.rx_bytes)
                          .Add({{"direction", "tx"}}, totals.tx_bytes)
                          .Take());
  families->push_back(
      Counter("fairlead_probe_packets_total",
              "Packets of health probes, which no service counts, sent to backends through the "
              "dataplane or dropped by it.")
          .Add({{"result", "sent"}}, stats.probes.packets)
          .Add({{"result", "dropped"}}, stats.probes.dropped)
          .Take());
  FamilyBuilder drops =
      Counter("fairlead_drops_total", "Packets dropped, by reason (docs/counters.md).");
  for (size_t reason = 1; reason < kDropReasonCount; ++reason) {
    drops.Add({{"reason", std::string(DropReasonName(static_cast<DropReason>(reason)))}},
              totals.drops[reason]);
  }
  for (const NamedCount& other : stats.other_drops) {
    drops.Add({{"reason", other.name}}, other.count);
  }
  families->push_back(drops.Take());
  families->push_back(Gauge("fairlead_flow_table_capacity", "Records that the flow table can hold.")
                          .Add({}, stats.flows.capacity)
                          .Take());
  families->push_back(Gauge("fairlead_flow_table_records", "Live records at the last sweep.")
                          .Add({}, stats.flows.records)
                          .Take());
  families->push_back(
      Gauge("fairlead_flow_table_pins", "Live records whose backend is not their slot's owner.")
          .Add({}, stats.flows.pins)
          .Take());
  families->push_back(Counter("fairlead_flow_records_total", "Flow records by event.")
                          .Add({{"event", "stored_new"}}, stats.flows.new_flows)
                          .Add({{"event", "stored_old"}}, stats.flows.old_flows)
                          .Add({{"event", "evicted"}}, stats.flows.evicted)
                          .Add({{"event", "untracked"}}, stats.flows.untracked)
                          .Take());
}

void Collector::AddServices(const StatsBook& book, std::vector<MetricFamily>* families) const {
  FamilyBuilder packets = Counter("fairlead_service_packets_total", "Packets that got a backend.");
  FamilyBuilder bytes = Counter("fairlead_service_bytes_total", "Bytes of those packets.");
  FamilyBuilder drops = Counter("fairlead_service_drops_total", "Packets of the service dropped.");
  FamilyBuilder slots = Gauge("fairlead_service_slots", "Hash slots by state.");
  const IntentView view = api_.log->View();
  for (const auto& each : view->services) {
    const std::string& name = each->name();
    const ServiceStats* found = book.FindService(each->id);
    if (found == nullptr) continue;
    packets.Add({{"service", name}}, found->packets);
    bytes.Add({{"service", name}}, found->bytes);
    drops.Add({{"service", name}}, found->drops);
    const ServiceStats& counts = *found;
    const auto add = [&](const char* state, uint64_t count) {
      slots.Add({{"service", name}, {"state", state}}, count);
    };
    add("settled", counts.slots - counts.shifting_slots - counts.pinned_slots);
    add("shifting", counts.shifting_slots);
    add("pinned", counts.pinned_slots);
  }
  for (FamilyBuilder* family : {&packets, &bytes, &drops, &slots})
    families->push_back(family->Take());
}

// Of services with min_healthy, and how many backends of each service are healthy.
void Collector::AddServiceHealth(std::vector<MetricFamily>* families) const {
  FamilyBuilder healthy =
      Gauge("fairlead_service_healthy_backends", "Backends of the service that take new flows.");
  FamilyBuilder required =
      Gauge("fairlead_service_min_healthy",
            "Healthy backends below which the service counts as down (min_healthy).");
  FamilyBuilder below = Gauge("fairlead_service_below_min_healthy",
                              "1 while the service counts as down because of min_healthy.");
  const IntentView view = api_.log->View();
  for (const auto& service : view->services) {
    const Labels labels = {{"service", service->name()}};
    const BackendCounts counts = CountBackends(*api_.board, *service);
    healthy.Add(labels, counts.healthy);
    if (!service->settings.min_healthy.is_set()) continue;
    required.Add(labels, RequiredHealthy(service->settings.min_healthy, counts.counted));
    below.Add(labels, api_.services->IsBelow(service->name()) ? 1 : 0);
  }
  for (FamilyBuilder* family : {&healthy, &required, &below}) families->push_back(family->Take());
}

void Collector::AddPorts(const DataplaneStats& stats, std::vector<MetricFamily>* families) const {
  FamilyBuilder attached = Gauge("fairlead_steering_attached",
                                 "1 while the AF_XDP port's steering program is on its interface.");
  FamilyBuilder steered =
      Counter("fairlead_steered_frames_total",
              "Frames that arrived at an AF_XDP port's interface, by receiver.");
  FamilyBuilder kernel_path =
      Counter("fairlead_kernel_path_frames_total", "Frames through a port's TAP, by outcome.");
  for (const PortStats& port : stats.ports) {
    const auto add = [&](FamilyBuilder* family, const char* outcome, uint64_t count) {
      family->Add({{"port", port.name}, {"outcome", outcome}}, count);
    };
    if (port.steering) {
      attached.Add({{"port", port.name}}, port.steering->attached ? 1 : 0);
      add(&steered, "to_dataplane", port.steering->to_dataplane);
      add(&steered, "to_kernel", port.steering->to_kernel);
      add(&steered, "no_socket", port.steering->no_socket);
    }
    if (port.kernel_path) {
      add(&kernel_path, "delivered", port.kernel_path->delivered);
      add(&kernel_path, "lost", port.kernel_path->lost);
      add(&kernel_path, "received", port.kernel_path->received);
      add(&kernel_path, "sent", port.kernel_path->sent);
      add(&kernel_path, "unsent", port.kernel_path->unsent);
    }
  }
  for (FamilyBuilder* family : {&attached, &steered, &kernel_path})
    families->push_back(family->Take());
}

void Collector::AddNics(const DataplaneStats& stats, std::vector<MetricFamily>* families) const {
  FamilyBuilder up = Gauge("fairlead_port_link_up",
                           "1 while the port's link is up; only while the dataplane is connected.");
  FamilyBuilder changes = Counter("fairlead_port_link_changes_total",
                                  "How often the port's link came up or went down.");
  FamilyBuilder missed =
      Counter("fairlead_port_nic_missed_total",
              "Frames that the NIC dropped because its receive queues were full.");
  FamilyBuilder errors = Counter("fairlead_port_nic_errors_total",
                                 "Damaged frames that the NIC received, and frames not sent.");
  FamilyBuilder no_buffer = Counter("fairlead_port_nic_no_buffer_total",
                                    "Frames dropped because no packet buffer was free.");
  for (const PortStats& port : stats.ports) {
    const Labels labels = {{"port", port.name}};
    if (port.link && api_.publisher->link().connected()) {
      up.Add(labels, port.link->is_up ? 1 : 0);
    }
    if (port.link) changes.Add(labels, port.link->changes);
    if (!port.nic) continue;
    missed.Add(labels, port.nic->rx_missed);
    errors.Add({{"port", port.name}, {"direction", "rx"}}, port.nic->rx_errors);
    errors.Add({{"port", port.name}, {"direction", "tx"}}, port.nic->tx_errors);
    no_buffer.Add(labels, port.nic->rx_no_buffer);
  }
  for (FamilyBuilder* family : {&up, &changes, &missed, &errors, &no_buffer}) {
    families->push_back(family->Take());
  }
}

void Collector::AddWorkers(const DataplaneStats& stats, std::vector<MetricFamily>* families) const {
  FamilyBuilder pauses = Gauge("fairlead_worker_longest_pause_seconds",
                               "Longest pause between two polls of a worker since its start.");
  FamilyBuilder received =
      Counter("fairlead_worker_rx_packets_total", "Packets that the worker received.");
  for (size_t i = 0; i < stats.workers.size(); ++i) {
    pauses.Add({{"worker", std::to_string(i)}},
               static_cast<double>(stats.workers[i].longest_pause_us) / 1e6);
    received.Add({{"worker", std::to_string(i)}}, stats.workers[i].rx_packets);
  }
  families->push_back(pauses.Take());
  families->push_back(received.Take());
}

void Collector::AddBackends(std::vector<MetricFamily>* families) const {
  FamilyBuilder packets = Counter("fairlead_backend_packets_total", "Packets sent to the backend.");
  FamilyBuilder bytes = Counter("fairlead_backend_bytes_total", "Bytes of those packets.");
  FamilyBuilder new_flows =
      Counter("fairlead_backend_new_flows_total", "Flows that began with the backend.");
  FamilyBuilder pins =
      Gauge("fairlead_backend_pins", "Flow records in slots of another owner, at the last sweep.");
  FamilyBuilder flows = Gauge("fairlead_backend_flows", "Live flow records at the last sweep.");
  FamilyBuilder healthy = Gauge("fairlead_backend_healthy", "1 when the backend's check passes.");
  FamilyBuilder state = Gauge("fairlead_backend_state", "1 for the state that the backend is in.");
  FamilyBuilder certificates = Gauge("fairlead_backend_certificate_not_after_timestamp_seconds",
                                     "When the certificate ends that the backend's check saw.");
  FamilyBuilder sampled = Counter("fairlead_backend_handshakes_sampled_total",
                                  "Followed TCP handshakes that ended, of services with outlier.");
  FamilyBuilder unanswered = Counter("fairlead_backend_handshakes_unanswered_total",
                                     "Of these, handshakes that the backend did not answer.");
  FamilyBuilder ejected =
      Gauge("fairlead_backend_ejected", "1 while the backend is ejected as an outlier.");
  const auto& book = api_.publisher->stats();
  const auto add = [&](const ServiceIntent& service, const BackendIntent& backend) {
    const Labels labels = {{"service", service.name()},
                           {"backend", backend.spec.endpoint.ToString()}};
    const BackendStatus& status = StatusOf(api_, backend);
    healthy.Add(labels, status.health.state == HealthState::kHealthy ? 1 : 0);
    Labels with_state = labels;
    with_state.push_back(
        {"state", std::string(ConditionName(ConditionOf(service.settings, backend, status)))});
    state.Add(with_state, 1);
    if (status.certificate_not_after_s) {
      certificates.Add(labels, *status.certificate_not_after_s);
    }
    const bool is_followed = service.settings.outlier != OutlierPolicy::kOff;
    if (is_followed) ejected.Add(labels, status.outlier.is_ejected() ? 1 : 0);
    const BackendStats* found = book == nullptr ? nullptr : book->FindBackend(backend.id);
    if (found == nullptr) return;
    const BackendStats& stats = *found;
    packets.Add(labels, stats.packets);
    bytes.Add(labels, stats.bytes);
    new_flows.Add(labels, stats.new_flows);
    flows.Add(labels, stats.flows);
    pins.Add(labels, stats.pins);
    if (!is_followed) return;
    sampled.Add(labels, stats.handshakes_sampled);
    unanswered.Add(labels, stats.handshakes_unanswered);
  };
  const IntentView view = api_.log->View();
  for (const auto& service : view->services) {
    for (const auto& backend : service->backends) add(*service, *backend);
  }
  for (FamilyBuilder* family : {&packets, &bytes, &new_flows, &flows, &pins, &healthy, &state,
                                &certificates, &sampled, &unanswered, &ejected}) {
    families->push_back(family->Take());
  }
}

}  // namespace

std::string MetricsText(const Api& api) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, Collector(api).Collect());
  return text.str();
}

}  // namespace fairlead
