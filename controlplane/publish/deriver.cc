#include "controlplane/publish/deriver.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace fairlead {

SnapshotDeriver::SnapshotDeriver(const StatusBoard* board, const Clock* clock)
    : board_(board), clock_(clock), view_(std::make_shared<Intent>()) {}

std::optional<SteadyTime> SnapshotDeriver::next_expiry() const {
  if (expiries_.empty()) return std::nullopt;
  return expiries_.begin()->first;
}

ObservedBackend SnapshotDeriver::Observe(const ServiceIntent& service,
                                         const BackendIntent& backend) {
  static const BackendStatus kUnknown;
  const BackendStatus* found = board_->Find(backend.id);
  const BackendStatus& status = found == nullptr ? kUnknown : *found;
  const ServiceSpec& settings = service.settings;
  const HealthState health = status.health.state;
  const bool checked = settings.health_check.type != HealthCheckType::kNone;
  // A backend without its first verdict gets nothing, and does not count for fail-open, which is about
  // backends that failed.
  const bool unjudged = checked && health == HealthState::kInitial;
  const bool drained = backend.drain.has_value() && status.drain.finished() &&
                       status.drain.drain_revision == backend.drain->revision;
  ObservedBackend observed;
  observed.id = backend.id;
  observed.next_hop = status.next_hop;
  observed.usable = status.left_out == LeftOut::kNo;
  observed.healthy = !checked || health == HealthState::kHealthy;
  observed.draining = backend.drain.has_value() || unjudged;
  observed.released = (drained && settings.on_deadline == FlowPolicy::kRelease) || unjudged;
  if (settings.on_unhealthy == FlowPolicy::kKeep && health == HealthState::kUnhealthy) {
    const SteadyTime until =
        status.health_since + std::chrono::milliseconds(settings.keep_unhealthy_ms);
    observed.kept = until > clock_->Steady();
    if (observed.kept) expiries_.insert({until, service.name()});
  }
  return observed;
}

void SnapshotDeriver::Derive(const ServiceIntent& service) {
  std::erase_if(expiries_, [&](const auto& entry) { return entry.second == service.name(); });
  std::vector<BackendToDerive> backends;
  backends.reserve(service.backends.size());
  for (const auto& backend : service.backends) {
    backends.push_back({&backend->spec, Observe(service, *backend)});
  }
  SnapshotService derived = DeriveService(
      service.settings, service.id, backends,
      [this](const Frontend& frontend) { return !own_addresses_.contains(frontend.address); });
  const auto place =
      std::ranges::lower_bound(input_.services, service.name(), {}, &SnapshotService::name);
  if (place != input_.services.end() && place->name == service.name()) {
    *place = std::move(derived);
  } else {
    input_.services.insert(place, std::move(derived));
  }
}

bool SnapshotDeriver::UpdateGlobals() {
  if (std::exchange(global_changes_, board_->global_changes()) == board_->global_changes()) {
    return false;
  }
  own_addresses_ = board_->own_addresses();
  return true;
}

std::set<std::string> SnapshotDeriver::ServicesThatChanged(const IntentView& view, bool all) {
  std::set<std::string> names;
  for (const IntentDifference::Service& service : Compare(*view_, *view).services) {
    names.insert((service.after != nullptr ? service.after : service.before)->name());
  }
  const uint64_t next_change = board_->next_change();
  const bool complete =
      board_->VisitChangesSince(next_change_, [&](const StatusBoard::Change& change) {
        if (change.facet == StatusBoard::Facet::kFlows) return;
        const BackendStatus* backend = board_->Find(change.backend_id);
        if (backend != nullptr) names.insert(backend->service);
      });
  next_change_ = next_change;
  const SteadyTime now = clock_->Steady();
  for (const auto& [until, name] : expiries_) {
    if (until > now) break;
    names.insert(name);
  }
  if (all || !complete) {
    for (const auto& service : view->services) names.insert(service->name());
  }
  return names;
}

bool SnapshotDeriver::Update(const IntentView& view) {
  const bool globals_changed = UpdateGlobals() || std::exchange(incomplete_, true);
  const std::set<std::string> names = ServicesThatChanged(view, globals_changed);
  const bool changed = globals_changed || !names.empty() || view->revision != view_->revision ||
                       view->hash_seed != view_->hash_seed;
  for (const std::string& name : names) {
    if (const ServiceIntent* service = view->Find(name); service != nullptr) {
      Derive(*service);
      continue;
    }
    std::erase_if(expiries_, [&](const auto& entry) { return entry.second == name; });
    const auto place = std::ranges::lower_bound(input_.services, name, {}, &SnapshotService::name);
    if (place != input_.services.end() && place->name == name) input_.services.erase(place);
  }
  input_.hash_seed = view->hash_seed;
  input_.change_id = view->change_id;
  const auto client = [&](Family family) {
    return view->NeedsClientNextHop(family) ? board_->client_next_hop(family) : std::nullopt;
  };
  input_.client_next_hop_v4 = client(Family::kIpv4);
  input_.client_next_hop_v6 = client(Family::kIpv6);
  view_ = view;
  incomplete_ = false;
  return changed;
}

}  // namespace fairlead
