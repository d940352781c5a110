#include "controlplane/http/views.h"

#include <unistd.h>

#include <map>
#include <string_view>

#include <fmt/format.h>

#include "controlplane/common/time.h"
#include "lib/intent/json.h"
#include "lib/table/table_digest.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostLeftOutShown = 20;  // in the status

// Counters of a backend that the dataplane has not told of yet are zero.
BackendStats StatsOf(const Api& api, uint32_t backend_id) {
  const auto& book = api.publisher->stats();
  if (book == nullptr) return {};
  const auto found = book->backends.find(backend_id);
  return found == book->backends.end() ? BackendStats{} : *found->second;
}

ServiceStats ServiceStatsOf(const Api& api, uint32_t service_id) {
  const auto& book = api.publisher->stats();
  if (book == nullptr) return {};
  const auto found = book->services.find(service_id);
  return found == book->services.end() ? ServiceStats{} : *found->second;
}

Json EndpointJson(const Endpoint& endpoint) {
  Json json = {{"address", endpoint.address.ToString()}};
  if (endpoint.port != 0) json["port"] = endpoint.port;
  return json;
}

Json BackendStatsJson(const Api& api, const ServiceRuntime& runtime) {
  Json backends = Json::array();
  for (const auto& [endpoint, backend] : runtime.backends) {
    const BackendStats stats = StatsOf(api, backend.id);
    Json json = EndpointJson(endpoint);
    json["packets"] = stats.packets;
    json["bytes"] = stats.bytes;
    json["flows"] = stats.flows;
    json["new_flows"] = stats.new_flows;
    json["pins"] = stats.pins;
    json["shifting_slots"] = stats.shifting_slots;
    backends.push_back(std::move(json));
  }
  return backends;
}

Json SlotsJson(const ServiceStats& stats) {
  return {{"settled", stats.slots - stats.shifting_slots - stats.pinned_slots},
          {"shifting", stats.shifting_slots},
          {"pinned", stats.pinned_slots}};
}

Json TotalsJson(const PacketTotals& totals) {
  Json drops = Json::object();
  for (size_t reason = 1; reason < kDropReasonCount; ++reason) {
    if (totals.drops[reason] == 0) continue;
    drops[std::string(DropReasonName(static_cast<DropReason>(reason)))] = totals.drops[reason];
  }
  return {{"rx", totals.rx_packets},       {"tx", totals.tx_packets},
          {"generated", totals.generated}, {"to_kernel", totals.to_kernel},
          {"rx_bytes", totals.rx_bytes},   {"tx_bytes", totals.tx_bytes},
          {"drops", std::move(drops)}};
}

Json NextHopJson(const SnapshotNextHop& hop) {
  Json json = {{"mac", hop.mac.ToString()}, {"interface", hop.interface}};
  if (hop.vlan != 0) json["vlan"] = hop.vlan;
  return json;
}

Json PortsJson(const DataplaneStats& stats) {
  Json ports = Json::array();
  for (const PortStats& port : stats.ports) {
    Json json = {{"name", port.name}, {"interface", port.interface}};
    if (port.steering) {
      json["steering"] = {{"attached", port.steering->attached},
                          {"to_dataplane", port.steering->to_dataplane},
                          {"to_kernel", port.steering->to_kernel},
                          {"no_socket", port.steering->no_socket}};
    }
    if (port.kernel_path) {
      json["kernel_path"] = {{"delivered", port.kernel_path->delivered},
                             {"lost", port.kernel_path->lost},
                             {"received", port.kernel_path->received},
                             {"sent", port.kernel_path->sent},
                             {"unsent", port.kernel_path->unsent}};
    }
    ports.push_back(std::move(json));
  }
  return ports;
}

// By worker.
Json LongestPauses(const DataplaneStats& stats) {
  Json json = Json::array();
  for (const WorkerStats& worker : stats.workers) json.push_back(worker.longest_pause_us);
  return json;
}

}  // namespace

Json OwnFrontendJson(const Registry::OwnFrontend& own) {
  return {
      {"frontend", own.frontend.ToString()},
      {"code", "own_address"},
      {"message", "is an address of this host (" + own.owner + "), whose packets stay its own"}};
}

std::string LeftOutSentence(const BackendRuntime& backend) {
  std::string text(LeftOutText(backend.left_out));
  constexpr std::string_view kAnInterface = "an interface that";
  const size_t at = text.find(kAnInterface);
  if (backend.left_out != LeftOut::k_interface_no_port || at == std::string::npos ||
      !backend.next_hop.has_value()) {
    return text;
  }
  return text.replace(at, kAnInterface.size(), backend.next_hop->interface + ", which");
}

namespace {

// Checks go to the backend's own address, where a server may not listen that serves the frontend's.
std::string OwnAddressHint(const ServiceSpec& service, const BackendSpec& spec,
                           const std::string& reason) {
  if (service.forwarding == ForwardingMode::kNat || !reason.ends_with("Connection refused")) {
    return "";
  }
  return "; the check connects to " + spec.endpoint.address.ToString() +
         ", where a server that listens on the frontend's address alone is not reached";
}

}  // namespace

BackendCondition ConditionOf(const ServiceSpec& service, const BackendSpec& spec,
                             const BackendRuntime& backend) {
  if (backend.drain.has_value()) {
    const DrainRecord& drain = *backend.drain;
    if (drain.finished()) return {"drained", drain.reason, drain.finished_ms};
    return {"draining", "no new flows until undrained; flows that it has are kept for now",
            drain.started_ms};
  }
  const Health& health = backend.health;
  switch (health.state) {
    case HealthState::kInitial:
      return {"initial", "waiting for the first check's verdict", health.since_ms};
    case HealthState::kUnhealthy:
      return {"unhealthy", health.reason + OwnAddressHint(service, spec, health.reason),
              health.since_ms};
    case HealthState::kHealthy:
      break;
  }
  if (backend.left_out != LeftOut::kNo) {
    return {"unused", "left out: " + LeftOutSentence(backend), health.since_ms};
  }
  if (spec.weight == 0) return {"unused", "weight 0: takes no new flows", health.since_ms};
  const bool checked = service.health_check.type != HealthCheckType::kNone;
  return {checked ? "healthy" : "unchecked", health.reason, health.since_ms};
}

Json BackendView(const Api& api, const BackendSpec& spec, const BackendRuntime& backend) {
  Json json = BackendToJson(spec);
  const ServiceSpec& service = **api.registry->FindService(backend.service);
  BackendCondition condition = ConditionOf(service, spec, backend);
  json["id"] = backend.id;
  json["state"] = condition.state;
  if (!backend.next_hop.has_value()) {
    condition.reason +=
        "; its packets are dropped: " + api.next_hops->Missing(spec.endpoint.address);
  }
  json["left_out"] = nullptr;
  if (backend.left_out != LeftOut::kNo) {
    const std::string text = LeftOutSentence(backend);
    if (condition.state != "unused") condition.reason += "; left out: " + text;
    json["left_out"] = {{"code", LeftOutName(backend.left_out)}, {"message", text}};
  }
  json["reason"] = std::move(condition.reason);
  json["since"] = FormatRfc3339(condition.since_ms);
  json["next_hop"] = nullptr;
  if (backend.next_hop.has_value()) json["next_hop"] = NextHopJson(*backend.next_hop);
  const BackendStats stats = StatsOf(api, backend.id);
  json["flows"] = stats.flows;
  json["new_flows"] = stats.new_flows;
  json["pins"] = stats.pins;
  json["packets"] = stats.packets;
  json["bytes"] = stats.bytes;
  json["drain"] = backend.drain.has_value() ? DrainView(api, backend) : Json(nullptr);
  return json;
}

Json ServiceView(const Api& api, const ServiceSpec& service) {
  Json json = ServiceToJson(service);
  Json backends = Json::array();
  for (const BackendSpec& spec : service.backends) {
    const BackendRuntime* backend = api.registry->FindRuntime(service.name, spec.endpoint);
    backends.push_back(BackendView(api, spec, *backend));
  }
  json["backends"] = std::move(backends);
  json["left_out_frontends"] = Json::array();
  for (const Registry::OwnFrontend& each : api.registry->own_frontends()) {
    if (each.service == service.name) json["left_out_frontends"].push_back(OwnFrontendJson(each));
  }
  if (const auto runtime = api.registry->services().find(service.name);
      runtime != api.registry->services().end()) {
    json["slots"] = SlotsJson(ServiceStatsOf(api, runtime->second.id));
  }
  return json;
}

Json DrainView(const Api& api, const BackendRuntime& backend) {
  const DrainRecord& drain = *backend.drain;
  const std::optional<uint64_t> remaining = api.drains->Remaining(backend);
  const uint64_t in_force = api.publisher->in_force_generation();
  Json json = {{"state", drain.finished() ? "drained" : "draining"},
               {"started", FormatRfc3339(drain.started_ms)},
               {"deadline", FormatRfc3339(drain.deadline_ms)},
               {"remaining_flows", nullptr},
               {"unseen_until", nullptr},
               {"in_force", in_force != 0 && in_force >= backend.drain_generation},
               {"flows_kept", drain.finished() && drain.reason.ends_with(kFlowsKept)},
               {"reason", drain.reason}};
  if (remaining.has_value()) json["remaining_flows"] = *remaining;
  const std::optional<int64_t> unseen_until_ms = api.drains->UnseenUntilMs(backend);
  if (unseen_until_ms.has_value()) json["unseen_until"] = FormatRfc3339(*unseen_until_ms);
  if (drain.finished()) {
    json["finished"] = FormatRfc3339(drain.finished_ms);
  } else if (!remaining.has_value()) {
    json["reason"] = "waiting for the dataplane to count the flows that remain";
  } else if (*remaining == 0) {
    json["reason"] = "no flow was seen; silent ones may live until unseen_until";
  } else {
    json["reason"] = "flows remain";
  }
  return json;
}

// Where nat's replies to clients go, by family; what no service needs is left out.
Json ClientNextHops(const Api& api) {
  Json json = Json::object();
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (!NeedsClientNextHop(api.registry->intent(), family)) continue;
    const IpAddress default_route = UnspecifiedAddress(family);
    const std::optional<SnapshotNextHop> hop = api.next_hops->Find(default_route);
    json[family == Family::kIpv4 ? "ipv4" : "ipv6"] =
        hop.has_value() ? NextHopJson(*hop)
                        : Json{{"missing", api.next_hops->Missing(default_route)}};
  }
  return json;
}

// Null while no image was made: nothing is configured, or no dataplane was ever there.
Json TableDigestText(const Api& api) {
  const auto& image = api.publisher->image();
  if (image == nullptr) return nullptr;
  const uint64_t digest = TableDigest(SnapshotView(image->bytes()), api.registry->left_out());
  return fmt::format("{:016x}", digest);
}

// The first of them.
Json OwnFrontends(const Registry& registry) {
  Json json = Json::array();
  for (const Registry::OwnFrontend& each : registry.own_frontends()) {
    if (json.size() == kMostLeftOutShown) break;
    json.push_back(OwnFrontendJson(each));
    json.back()["service"] = each.service;
  }
  return json;
}

Json StatusView(const Api& api) {
  const Publisher& publisher = *api.publisher;
  const bool connected = publisher.link().connected();
  Json dataplane = {{"connected", connected},
                    {"generation", publisher.in_force_generation()},
                    {"pid", connected ? publisher.link().hello().pid : 0},
                    {"workers", connected ? publisher.link().hello().worker_count : 0},
                    {"applied_us", publisher.applied_us()},
                    {"error", publisher.error()}};
  std::map<std::string_view, uint64_t> states = {{"initial", 0},  {"healthy", 0}, {"unhealthy", 0},
                                                 {"draining", 0}, {"drained", 0}, {"unused", 0},
                                                 {"unchecked", 0}};
  const Registry& registry = *api.registry;
  Json left_out = Json::array();
  registry.ForEachBackend(
      [&](const ServiceSpec& service, const BackendSpec& spec, const BackendRuntime& backend) {
        ++states[ConditionOf(service, spec, backend).state];
        if (backend.left_out == LeftOut::kNo || left_out.size() == kMostLeftOutShown) return;
        left_out.push_back({{"service", service.name},
                            {"backend", spec.endpoint.ToString()},
                            {"code", LeftOutName(backend.left_out)},
                            {"message", LeftOutSentence(backend)}});
      });
  Json backends = Json::object();
  for (const auto& [state, count] : states) backends[std::string(state)] = count;
  const auto uptime =
      std::chrono::duration_cast<std::chrono::seconds>(api.clock->Steady() - api.started_at);
  return {{"version", FAIRLEAD_VERSION},
          {"pid", ::getpid()},
          {"uptime_s", uptime.count()},
          {"generation", api.registry->generation()},
          {"hash_seed", registry.intent().hash_seed},
          {"table_digest", TableDigestText(api)},
          {"dataplane", std::move(dataplane)},
          {"services", api.registry->intent().services.size()},
          {"backends", std::move(backends)},
          {"left_out", std::move(left_out)},
          {"left_out_count", registry.left_out().size()},
          {"left_out_frontends", OwnFrontends(registry)},
          {"client_next_hops", ClientNextHops(api)},
          {"store_error", publisher.store_error()}};
}

Json StatsView(const Api& api) {
  const DataplaneStats none;
  const auto& book = api.publisher->stats();
  const DataplaneStats& stats = book == nullptr ? none : book->stats;
  Json services = Json::array();
  for (const auto& [name, runtime] : api.registry->services()) {
    const ServiceStats service = ServiceStatsOf(api, runtime.id);
    services.push_back({{"name", name},
                        {"packets", service.packets},
                        {"bytes", service.bytes},
                        {"drops", service.drops},
                        {"slots", SlotsJson(service)},
                        {"backends", BackendStatsJson(api, runtime)}});
  }
  return {{"totals", TotalsJson(stats.totals)},
          {"flows",
           {{"capacity", stats.flows.capacity},
            {"records", stats.flows.records},
            {"pins", stats.flows.pins},
            {"new", stats.flows.new_flows},
            {"old", stats.flows.old_flows},
            {"evicted", stats.flows.evicted},
            {"untracked", stats.flows.untracked}}},
          {"services", std::move(services)},
          {"ports", PortsJson(stats)},
          {"dataplane",
           {{"connected", api.publisher->link().connected()},
            {"generation", stats.generation},
            {"uptime_ms", stats.uptime_ms},
            {"workers", stats.workers.size()},
            {"longest_pauses_us", LongestPauses(stats)}}}};
}

}  // namespace fairlead
