#include "controlplane/http/views.h"

#include <unistd.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "controlplane/common/time.h"
#include "controlplane/core/status_text.h"
#include "controlplane/http/condition.h"
#include "controlplane/http/isolation_view.h"
#include "controlplane/observe/drain/drains.h"
#include "lib/intent/checks/checked_frontends.h"
#include "lib/intent/json.h"
#include "lib/intent/slow_start.h"
#include "lib/mode/mode.h"
#include "lib/table/table_digest.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostLeftOutShown = 20;  // in the status

// The backend's counters. Zero if the dataplane has not reported them yet.
BackendStats StatsOf(const Api& api, uint32_t backend_id) {
  const auto& book = api.publisher->stats();
  if (book == nullptr) return {};
  const BackendStats* found = book->FindBackend(backend_id);
  return found == nullptr ? BackendStats{} : *found;
}

ServiceStats ServiceStatsOf(const Api& api, uint32_t service_id) {
  const auto& book = api.publisher->stats();
  if (book == nullptr) return {};
  const ServiceStats* found = book->FindService(service_id);
  return found == nullptr ? ServiceStats{} : *found;
}

Json EndpointJson(const Endpoint& endpoint) {
  Json json = {{"address", endpoint.address.ToString()}};
  if (endpoint.port != 0) json["port"] = endpoint.port;
  return json;
}

Json BackendStatsJson(const Api& api, const ServiceIntent& service) {
  Json backends = Json::array();
  for (const auto& backend : service.backends) {
    const BackendStats stats = StatsOf(api, backend->id);
    Json json = EndpointJson(backend->spec.endpoint);
    json["packets"] = stats.packets;
    json["bytes"] = stats.bytes;
    json["flows"] = stats.flows;
    json["new_flows"] = stats.new_flows;
    json["pins"] = stats.pins;
    json["shifting_slots"] = stats.shifting_slots;
    json["handshakes_sampled"] = stats.handshakes_sampled;
    json["handshakes_unanswered"] = stats.handshakes_unanswered;
    backends.push_back(std::move(json));
  }
  return backends;
}

Json SlotsJson(const ServiceStats& stats) {
  return {{"settled", stats.slots - stats.shifting_slots - stats.pinned_slots},
          {"shifting", stats.shifting_slots},
          {"pinned", stats.pinned_slots}};
}

Json TotalsJson(const DataplaneStats& stats) {
  const PacketTotals& totals = stats.totals;
  Json drops = Json::object();
  for (size_t reason = 1; reason < kDropReasonCount; ++reason) {
    if (totals.drops[reason] == 0) continue;
    drops[std::string(DropReasonName(static_cast<DropReason>(reason)))] = totals.drops[reason];
  }
  for (const NamedCount& other : stats.other_drops) {
    if (other.count != 0) drops[other.name] = other.count;
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
    if (port.link) {
      json["link"] = {{"up", port.link->is_up},
                      {"speed_mbps", port.link->speed_mbps},
                      {"changes", port.link->changes}};
    }
    if (port.nic) {
      json["nic"] = {{"rx_missed", port.nic->rx_missed},
                     {"rx_errors", port.nic->rx_errors},
                     {"rx_no_buffer", port.nic->rx_no_buffer},
                     {"tx_errors", port.nic->tx_errors}};
    }
    ports.push_back(std::move(json));
  }
  return ports;
}

// One number for each worker.
Json OfEachWorker(const DataplaneStats& stats, uint64_t WorkerStats::*field) {
  Json json = Json::array();
  for (const WorkerStats& worker : stats.workers) json.push_back(worker.*field);
  return json;
}

}  // namespace

std::string_view LeftOutFrontendCode(FrontendLeftOutReason reason) {
  switch (reason) {
    case FrontendLeftOutReason::kOwnAddress:
      return "own_address";
    case FrontendLeftOutReason::kNatAnyPort:
      return "nat_any_port";
    case FrontendLeftOutReason::kOlderDataplane:
      return "older_dataplane";
  }
  return "";
}

Json LeftOutFrontendJson(const LeftOutFrontend& frontend) {
  return {{"frontend", frontend.frontend.ToString()},
          {"code", LeftOutFrontendCode(frontend.reason)},
          {"message", LeftOutFrontendText(frontend)}};
}

Json PortLinkJson(const PortLink& link) {
  return {{"name", link.port},
          {"interface", link.interface},
          {"link",
           {{"up", link.is_up},
            {"since", FormatRfc3339(link.since_ms)},
            {"changes", link.changes},
            {"speed_mbps", link.speed_mbps}}}};
}

std::string LeftOutSentence(const BackendStatus& status) {
  if (!status.next_hop.has_value()) return std::string(LeftOutText(status.left_out));
  return LeftOutText(status.left_out, status.next_hop->interface);
}

namespace {

// Checks connect to the backend's own address. A server that listens only on the frontend's address
// refuses them.
std::string OwnAddressHint(const ServiceSpec& settings, const BackendSpec& spec,
                           const CheckResult& verdict) {
  if (verdict.frontend != 0) return "";
  const CheckType* type = FindCheckType(verdict.type);
  const bool refused = verdict.outcome == CheckOutcome::kFailed && type != nullptr &&
                       type->is_refused != nullptr && type->is_refused(verdict.detail);
  if (ModeOf(settings.forwarding).rewrites_destination() || !refused) return "";
  return "; the check connects to " + spec.endpoint.address.ToString() +
         ", and does not reach a server that listens only on the frontend's address";
}

CheckedBackend CheckedBackendOf(const ServiceSpec& settings, const BackendSpec& spec) {
  return {&settings, &spec.endpoint.address};
}

// The result of the last probe, whether or not it changed the state; null before the first.
Json ProbeJson(const LastProbe& probe, const CheckedBackend& checked) {
  if (probe.at_ms == 0) return nullptr;
  const bool passed = probe.verdict.outcome == CheckOutcome::kPassed;
  return {{"passed", passed},
          {"at", FormatRfc3339(probe.at_ms)},
          {"failures_in_row", probe.verdict.failures},
          {"reason", CheckResultText(probe.verdict, checked)}};
}

}  // namespace

namespace {

// Why a backend has its condition, and since when.
struct Reason {
  std::string text;
  int64_t since_ms = 0;
};

// What the backend was judged by; null if it is no outlier.
Json OutlierJson(const OutlierStatus& outlier) {
  if (!outlier.is_outlier) return nullptr;
  Json json = {{"ejected", outlier.is_ejected()},
               {"ejected_until", nullptr},
               {"since", FormatRfc3339(outlier.since_ms)},
               {"sampled", outlier.sampled},
               {"unanswered_percent", outlier.unanswered_percent},
               {"median_percent", outlier.median_percent},
               {"message", OutlierText(outlier)}};
  if (outlier.is_ejected()) {
    json["ejected_until"] =
        FormatRfc3339(outlier.since_ms + std::chrono::milliseconds(outlier.ejected_for).count());
  }
  return json;
}

// What follows the reason while a backend keeps its state because no check can be made.
std::string NotCheckedText(const LastProbe& probe) {
  return probe.not_made == nullptr ? "" : "; not checked now: " + *probe.not_made;
}

// What follows "left out". A backend behind a gateway has no next hop; BackendView() says why.
std::string LeftOutSuffix(const BackendStatus& status) {
  if (status.left_out == LeftOut::k_behind_gateway) return "";
  return ": " + LeftOutSentence(status);
}

Reason ReasonOf(Condition condition, const ServiceSpec& settings, const BackendIntent& backend,
                const BackendStatus& status) {
  const Health& health = status.health;
  const CheckedBackend checked = CheckedBackendOf(settings, backend.spec);
  switch (condition) {
    case Condition::kDrained: {
      const DrainProgress progress = ProgressOf(backend, status);
      return {DrainEndText(progress), progress.finished_ms};
    }
    case Condition::kDraining:
      return {"takes no new flows until undrained; its present flows are kept for now",
              backend.drain->started_ms};
    case Condition::kInitial:
      return {"waiting for the first check's result" + NotCheckedText(status.probe),
              health.since_ms};
    case Condition::kUnhealthy:
      return {CheckResultText(health.verdict, checked) +
                  OwnAddressHint(settings, backend.spec, health.verdict) +
                  NotCheckedText(status.probe),
              health.since_ms};
    case Condition::kUnused:
      if (status.left_out != LeftOut::kNo) {
        return {"left out" + LeftOutSuffix(status), health.since_ms};
      }
      return {"weight 0: takes no new flows", health.since_ms};
    case Condition::kEjected:
      return {OutlierText(status.outlier), status.outlier.since_ms};
    case Condition::kHealthy:
    case Condition::kUnchecked:
      break;
  }
  return {CheckResultText(health.verdict, checked) + NotCheckedText(status.probe), health.since_ms};
}

// The share of its weight that a climbing backend has now.
void AddSlowStart(const Api& api, const ServiceIntent& service, const BackendIntent& backend,
                  Json* json) {
  const ServiceStates::State* state = api.services->Find(service.name());
  const uint32_t percent =
      state == nullptr ? kWholeWeight : state->PercentOf(backend.id, api.clock->Steady());
  (*json)["slow_start"] = nullptr;
  (*json)["effective_weight"] = backend.spec.weight;
  if (percent == kWholeWeight) return;
  (*json)["effective_weight"] = backend.spec.weight * percent / 100.0;
  (*json)["slow_start"] = {{"percent", percent}};
}

}  // namespace

Json BackendView(const Api& api, const ServiceIntent& service, const BackendIntent& backend) {
  Json json = BackendToJson(backend.spec);
  const BackendStatus& status = StatusOf(api, backend);
  const Condition condition = ConditionOf(service.settings, backend, status);
  Reason reason = ReasonOf(condition, service.settings, backend, status);
  json["id"] = backend.id;
  json["owner"] = backend.owner;
  AddSlowStart(api, service, backend, &json);
  json["state"] = ConditionName(condition);
  if (!status.next_hop.has_value()) {
    reason.text += "; its packets are dropped: " +
                   api.next_hops->MissingReasonFor(ModeOf(service.settings.forwarding),
                                                   backend.spec.endpoint.address);
  }
  json["left_out"] = nullptr;
  if (status.left_out != LeftOut::kNo) {
    if (condition != Condition::kUnused) reason.text += "; left out" + LeftOutSuffix(status);
    json["left_out"] = {{"code", LeftOutName(status.left_out)},
                        {"message", LeftOutSentence(status)}};
  }
  const bool shows_outlier = condition == Condition::kHealthy || condition == Condition::kUnchecked;
  if (shows_outlier && status.outlier.is_outlier) {
    reason.text += "; outlier: " + OutlierText(status.outlier);
  }
  json["outlier"] = OutlierJson(status.outlier);
  json["reason"] = std::move(reason.text);
  json["since"] = FormatRfc3339(reason.since_ms);
  json["check"] = ProbeJson(status.probe, CheckedBackendOf(service.settings, backend.spec));
  json["check_skipped"] = nullptr;
  if (status.probe.not_made != nullptr) json["check_skipped"] = *status.probe.not_made;
  json["certificate_not_after"] = nullptr;
  if (status.certificate_not_after_s) {
    json["certificate_not_after"] = FormatRfc3339(*status.certificate_not_after_s * 1000);
  }
  json["next_hop"] = nullptr;
  if (status.next_hop.has_value()) json["next_hop"] = NextHopJson(*status.next_hop);
  const BackendStats stats = StatsOf(api, backend.id);
  json["flows"] = stats.flows;
  json["new_flows"] = stats.new_flows;
  json["pins"] = stats.pins;
  json["packets"] = stats.packets;
  json["bytes"] = stats.bytes;
  json["drain"] = backend.drain.has_value() ? DrainView(api, service, backend) : Json(nullptr);
  return json;
}

namespace {

// How the service's checks reach the backends; null: it has no check.
Json CheckPathJson(const Api& api, const ServiceSpec& settings) {
  if (!settings.health_check.type->probes) return nullptr;
  const std::string why = api.checks->WhyChecksAreDirect(settings);
  const bool is_direct = !ChecksThroughDataplane(settings) || !why.empty();
  return {{"via", is_direct ? "direct" : "dataplane"}, {"reason", why}};
}

// How many backends are healthy, and which are used.
Json HealthJson(const Api& api, const ServiceIntent& service) {
  const BackendCounts counts = CountBackends(*api.board, service);
  const ServiceStates::State* state = api.services->Find(service.name());
  const bool has_minimum = state != nullptr && service.settings.min_healthy.is_set();
  const bool below = has_minimum && state->below;
  Json json = {{"healthy", counts.healthy},
               {"counted", counts.counted},
               {"min_healthy", RequiredHealthy(service.settings.min_healthy, counts.counted)},
               {"below_min_healthy", below},
               {"since", nullptr},
               {"used", BackendUseName(UseOfBackends(service.settings, counts.healthy, below))}};
  if (has_minimum) json["since"] = FormatRfc3339(state->since_ms);
  return json;
}

}  // namespace

Json ServiceView(const Api& api, const ServiceIntent& service) {
  Json json = ServiceToJson(service.settings);
  json["health"] = HealthJson(api, service);
  Json backends = Json::array();
  for (const auto& backend : service.backends) {
    backends.push_back(BackendView(api, service, *backend));
  }
  json["backends"] = std::move(backends);
  json["left_out_frontends"] = Json::array();
  api.board->VisitLeftOutFrontends([&](const LeftOutFrontend& each) {
    if (each.service != service.name()) return;
    json["left_out_frontends"].push_back(LeftOutFrontendJson(each));
  });
  json["slots"] = SlotsJson(ServiceStatsOf(api, service.id));
  json["check_path"] = CheckPathJson(api, service.settings);
  return json;
}

Json DrainView(const Api& api, const ServiceIntent& service, const BackendIntent& backend) {
  const DrainIntent& drain = *backend.drain;
  const DrainProgress progress = ProgressOf(backend, StatusOf(api, backend));
  const std::optional<uint64_t>& remaining = progress.remaining_flows;
  const uint64_t in_force = api.board->dataplane().in_force_revision;
  Json json = {{"state", progress.finished() ? "drained" : "draining"},
               {"started", FormatRfc3339(drain.started_ms)},
               {"deadline", FormatRfc3339(drain.deadline_ms)},
               {"remaining_flows", nullptr},
               {"unseen_until", nullptr},
               {"in_force", in_force != 0 && in_force >= backend.revision},
               {"flows_kept", progress.flows_kept},
               {"reason", DrainEndText(progress)}};
  if (remaining.has_value()) json["remaining_flows"] = *remaining;
  const std::optional<int64_t> unseen_until_ms = UnseenUntilMs(service.settings, backend, progress);
  if (unseen_until_ms.has_value()) json["unseen_until"] = FormatRfc3339(*unseen_until_ms);
  if (progress.finished()) {
    json["finished"] = FormatRfc3339(progress.finished_ms);
  } else if (!remaining.has_value()) {
    json["reason"] = "waiting for the dataplane to count the flows that remain";
  } else if (*remaining == 0) {
    json["reason"] = "no flow was seen; idle flows may live until unseen_until";
  } else {
    json["reason"] = "flows remain";
  }
  return json;
}

// The next hops of nat's replies to clients, by family. Contains only families that a service
// needs.
Json ClientNextHops(const Api& api) {
  Json json = Json::object();
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (!api.log->View()->NeedsClientNextHop(family)) continue;
    const IpAddress default_route = UnspecifiedAddress(family);
    const std::optional<SnapshotNextHop> hop = api.next_hops->Find(default_route);
    json[family == Family::kIpv4 ? "ipv4" : "ipv6"] =
        hop.has_value() ? NextHopJson(*hop)
                        : Json{{"missing", api.next_hops->MissingReason(default_route)}};
  }
  return json;
}

// Null while there is no image: nothing is configured, or no dataplane has connected yet.
Json TableDigestText(const Api& api) {
  const auto image = api.publisher->image();
  if (image.empty()) return nullptr;
  const uint64_t digest = TableDigest(SnapshotView(image), api.board->left_out());
  return fmt::format("{:016x}", digest);
}

// The left-out backends, sorted by service. At most kMostLeftOutShown.
Json LeftOutJson(const StatusBoard& board) {
  std::vector<const BackendStatus*> left_out;
  for (const auto& [id, reason] : board.left_out()) {
    const BackendStatus* backend = board.Find(id);
    if (backend != nullptr) left_out.push_back(backend);
  }
  const size_t count = std::min(left_out.size(), kMostLeftOutShown);
  std::ranges::partial_sort(
      left_out, left_out.begin() + static_cast<ptrdiff_t>(count), {},
      [](const BackendStatus* backend) { return std::tie(backend->service, backend->endpoint); });
  Json json = Json::array();
  for (const BackendStatus* backend : std::span(left_out).first(count)) {
    json.push_back({{"service", backend->service},
                    {"backend", backend->endpoint.ToString()},
                    {"code", LeftOutName(backend->left_out)},
                    {"message", LeftOutSentence(*backend)}});
  }
  return json;
}

// The left-out frontends. At most kMostLeftOutShown.
Json LeftOutFrontendsJson(const StatusBoard& board) {
  Json json = Json::array();
  board.VisitLeftOutFrontends([&](const LeftOutFrontend& each) {
    if (json.size() == kMostLeftOutShown) return;
    json.push_back(LeftOutFrontendJson(each));
    json.back()["service"] = each.service;
  });
  return json;
}

// A dataplane with the first link version does not send its release. Only release 0.1.0 has that
// version.
std::string ReleaseOf(const LinkClient& link) {
  return link.version() == kFirstLinkVersion ? "0.1.0" : link.hello().release;
}

// The settings that a dataplane of an older release does not support.
Json UnsupportedJson(const DataplaneStatus& dataplane) {
  Json json = Json::array();
  const auto add = [&](const std::vector<std::string>& services, const char* field,
                       const char* message) {
    for (const std::string& service : services) {
      if (json.size() == kMostLeftOutShown) break;
      json.push_back({{"service", service}, {"field", field}, {"message", message}});
    }
  };
  add(dataplane.services_without_reset, "on_no_backend",
      "packets are dropped and clients get no reset, because the running dataplane "
      "(release 0.1.0) cannot send one; start the new dataplane");
  add(dataplane.services_without_handshakes, "outlier",
      "no outlier is found, because the running dataplane (release 0.1.0) does not follow "
      "handshakes; start the new dataplane");
  return json;
}

Json StatusView(const Api& api) {
  const Publisher& publisher = *api.publisher;
  const bool connected = publisher.link().connected();
  Json dataplane = {{"connected", connected},
                    {"generation", publisher.in_force_generation()},
                    {"unknown_generation", nullptr},
                    {"pid", connected ? publisher.link().hello().pid : 0},
                    {"workers", connected ? publisher.link().hello().worker_count : 0},
                    {"release", nullptr},
                    {"started_at", nullptr},
                    {"records_taken_over", nullptr},
                    {"unsupported", UnsupportedJson(api.board->dataplane())},
                    {"applied_us", publisher.applied_us()},
                    {"error", publisher.error()}};
  if (const auto unknown = publisher.unknown_generation_in_force()) {
    dataplane["unknown_generation"] = *unknown;
  }
  if (connected) dataplane["release"] = ReleaseOf(publisher.link());
  if (const std::optional<int64_t> started_ms = publisher.dataplane_started_ms();
      connected && started_ms) {
    dataplane["started_at"] = FormatRfc3339(*started_ms);
    dataplane["records_taken_over"] = publisher.link().hello().records_taken_over;
  }
  const std::string& no_probes = api.board->dataplane().no_probes;
  dataplane["probes"] = {{"open", api.board->dataplane().probes_open}, {"reason", no_probes}};
  dataplane["ports"] = Json::array();
  for (const PortLink& link : api.board->dataplane().links) {
    dataplane["ports"].push_back(PortLinkJson(link));
  }
  const IntentView view = api.log->View();
  const ConditionCounts::Counts& counts = api.conditions->Of(view);
  Json backends = Json::object();
  for (size_t i = 0; i < kConditionCount; ++i) {
    backends[std::string(ConditionName(static_cast<Condition>(i)))] = counts[i];
  }
  const auto uptime =
      std::chrono::duration_cast<std::chrono::seconds>(api.clock->Steady() - api.started_at);
  return {{"version", FAIRLEAD_VERSION},
          {"pid", ::getpid()},
          {"uptime_s", uptime.count()},
          {"revision", view->revision},
          {"generation", api.generations->current()},
          {"hash_seed", view->hash_seed},
          {"table_digest", TableDigestText(api)},
          {"dataplane", std::move(dataplane)},
          {"services", view->services.size()},
          {"backends", std::move(backends)},
          {"left_out", LeftOutJson(*api.board)},
          {"left_out_count", api.board->left_out().size()},
          {"left_out_frontends", LeftOutFrontendsJson(*api.board)},
          {"client_next_hops", ClientNextHops(api)},
          {"isolated", IsolatedJson(api.board->isolation())},
          {"failed_together", FailedTogetherJson(api.board->isolation())},
          {"store_error", api.status_writer->error()}};
}

namespace {

Json ServiceCounters(const Api& api, const ServiceIntent& service) {
  const ServiceStats counts = ServiceStatsOf(api, service.id);
  return {{"name", service.name()},     {"packets", counts.packets},
          {"bytes", counts.bytes},      {"drops", counts.drops},
          {"slots", SlotsJson(counts)}, {"backends", BackendStatsJson(api, service)}};
}

}  // namespace

Json ServiceStatsView(const Api& api, const ServiceIntent& service) {
  const auto& book = api.publisher->stats();
  Json json = ServiceCounters(api, service);
  json["at_ms"] = book == nullptr ? 0 : book->at_ms;
  json["dataplane"] = {{"connected", api.publisher->link().connected()},
                       {"uptime_ms", book == nullptr ? 0 : book->stats.uptime_ms}};
  return json;
}

Json StatsView(const Api& api) {
  const DataplaneStats none;
  const auto& book = api.publisher->stats();
  const DataplaneStats& stats = book == nullptr ? none : book->stats;
  Json services = Json::array();
  for (const auto& service : api.log->View()->services) {
    services.push_back(ServiceCounters(api, *service));
  }
  return {{"totals", TotalsJson(stats)},
          {"probes", {{"packets", stats.probes.packets}, {"dropped", stats.probes.dropped}}},
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
            {"longest_pauses_us", OfEachWorker(stats, &WorkerStats::longest_pause_us)},
            {"rx_by_worker", OfEachWorker(stats, &WorkerStats::rx_packets)}}}};
}

}  // namespace fairlead
