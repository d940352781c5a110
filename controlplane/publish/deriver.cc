#include "controlplane/publish/deriver.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace fairlead {

SnapshotDeriver::SnapshotDeriver(const StatusBoard* board, const Clock* clock,
                                 ServiceStates* services)
    : board_(board), clock_(clock), services_(services), view_(std::make_shared<Intent>()) {}

std::optional<SteadyTime> SnapshotDeriver::next_expiry() const {
  std::optional<SteadyTime> next;
  if (!expiries_.empty()) next = expiries_.begin()->first;
  for (const auto& [name, step] : steps_) next = next.has_value() ? std::min(*next, step) : step;
  return next;
}

ObservedBackend SnapshotDeriver::Observe(const ServiceIntent& service,
                                         const BackendIntent& backend) {
  static const BackendStatus kUnknown;
  const BackendStatus* found = board_->Find(backend.id);
  const BackendStatus& status = found == nullptr ? kUnknown : *found;
  const ServiceSpec& settings = service.settings;
  const HealthState health = status.health.state;
  const bool checked = settings.health_check.type->probes;
  // A backend without its first check result gets no flows. It does not count for fail-open either,
  // since fail-open concerns backends that failed.
  const bool no_result_yet = checked && health == HealthState::kInitial;
  const bool drained = backend.drain.has_value() && status.drain.finished() &&
                       status.drain.drain_revision == backend.drain->revision;
  ObservedBackend observed;
  observed.id = backend.id;
  observed.next_hop = status.next_hop;
  observed.usable = status.left_out == LeftOut::kNo;
  observed.healthy = !checked || health == HealthState::kHealthy;
  observed.draining = backend.drain.has_value() || no_result_yet ||
                      status.left_out == LeftOut::k_behind_gateway || status.outlier.is_ejected();
  observed.released = (drained && settings.on_deadline == FlowPolicy::kRelease) || no_result_yet;
  std::optional<SteadyTime> kept_until;
  if (settings.on_unhealthy == FlowPolicy::kKeep && health == HealthState::kUnhealthy) {
    kept_until = status.health_since + std::chrono::milliseconds(settings.keep_unhealthy_ms);
    observed.kept = *kept_until > clock_->Steady();
    if (!observed.kept) kept_until.reset();
  }
  SetExpiry(backend.id, kept_until);
  return observed;
}

void SnapshotDeriver::SetExpiry(uint32_t backend_id, std::optional<SteadyTime> until) {
  const auto present = expiry_of_.find(backend_id);
  if (present != expiry_of_.end()) {
    if (present->second == until) return;
    expiries_.erase({present->second, backend_id});
    expiry_of_.erase(present);
  }
  if (!until.has_value()) return;
  expiry_of_.emplace(backend_id, *until);
  expiries_.insert({*until, backend_id});
}

void SnapshotDeriver::DeriveWhole(const ServiceIntent& service) {
  std::vector<BackendToDerive> backends;
  backends.reserve(service.backends.size());
  Derived derived;
  derived.takes_new_flows.reserve(service.backends.size());
  const ServiceStates::State* state = services_->Find(service.name());
  const std::optional<SteadyTime> step = state == nullptr ? std::nullopt : state->NextStep(now_);
  derived.climbs = step.has_value();
  steps_.erase(service.name());
  if (step.has_value()) steps_.emplace(service.name(), *step);
  for (const auto& backend : service.backends) {
    backends.push_back({&backend->spec, Observe(service, *backend)});
    if (derived.climbs) backends.back().observed.percent = state->PercentOf(backend->id, now_);
    const bool takes = TakesNewFlows(backends.back());
    derived.takes_new_flows.push_back(takes);
    derived.taking_count += takes ? 1 : 0;
  }
  const bool below = services_->IsBelow(service.name());
  derived.use = UseOfBackends(service.settings, derived.taking_count, below);
  assembler_.Put(DeriveService(
      service.settings, service.id, backends, below,
      [this](const Frontend& frontend) { return !own_addresses_.contains(frontend.address); }));
  derived_.insert_or_assign(service.name(), std::move(derived));
}

bool SnapshotDeriver::DeriveBackendAlone(const ServiceIntent& service, uint32_t backend_id) {
  const auto derived = derived_.find(service.name());
  const BackendStatus* status = board_->Find(backend_id);
  if (derived == derived_.end() || status == nullptr || derived->second.climbs) return false;
  const auto place = std::ranges::lower_bound(
      service.backends, status->endpoint, {},
      [](const auto& backend) -> const Endpoint& { return backend->spec.endpoint; });
  if (place == service.backends.end() || (*place)->id != backend_id) return false;
  const BackendToDerive backend{&(*place)->spec, Observe(service, **place)};
  const auto index = static_cast<size_t>(place - service.backends.begin());
  const bool takes = TakesNewFlows(backend);
  if (takes != derived->second.takes_new_flows[index]) {
    derived->second.takes_new_flows[index] = takes;
    derived->second.taking_count += takes ? 1 : size_t{0} - 1;
  }
  const BackendUse use = derived->second.use;
  if (UseOfBackends(service.settings, derived->second.taking_count,
                    services_->IsBelow(service.name())) != use) {
    return false;
  }
  assembler_.PutBackend(service.name(), DeriveBackend(service.settings, backend, use));
  return true;
}

// True: all services must be derived again.
bool SnapshotDeriver::UpdateGlobals(const Intent& view) {
  globals_.hash_seed = view.hash_seed;
  globals_.change_id = view.change_id;
  const auto client = [&](Family family) {
    return view.NeedsClientNextHop(family) ? board_->client_next_hop(family) : std::nullopt;
  };
  globals_.client_next_hop_v4 = client(Family::kIpv4);
  globals_.client_next_hop_v6 = client(Family::kIpv6);
  if (own_addresses_ == board_->own_addresses()) return false;
  own_addresses_ = board_->own_addresses();
  return true;
}

void SnapshotDeriver::AddIntentWork(const Intent& view, WorkByService* work) const {
  for (const auto& [before, after] : Compare(*view_, view).services) {
    Work& todo = (*work)[(after != nullptr ? after : before)->name()];
    if (before == nullptr || after == nullptr || before->id != after->id ||
        before->settings != after->settings) {
      todo.whole = true;
      continue;
    }
    for (const auto& [old, present] : CompareBackends(before, after)) {
      if (old == nullptr || present == nullptr || old->id != present->id) {
        todo.whole = true;
        break;
      }
      todo.backends.insert(present->id);
    }
  }
}

void SnapshotDeriver::AddStatusWork(const Intent& view, WorkByService* work) {
  const uint64_t next_change = board_->next_change();
  const bool complete =
      board_->VisitChangesSince(next_change_, [&](const StatusBoard::Change& change) {
        using enum StatusBoard::Facet;
        if (change.facet == kFlows || change.facet == kProbe) return;
        const BackendStatus* backend = board_->Find(change.backend_id);
        if (backend != nullptr) (*work)[backend->service].backends.insert(change.backend_id);
      });
  next_change_ = next_change;
  if (complete) return;
  for (const auto& service : view.services) (*work)[service->name()].whole = true;
}

void SnapshotDeriver::AddServiceWork(WorkByService* work) {
  services_->VisitChangedSince(service_changes_,
                               [&](const std::string& name) { (*work)[name].whole = true; });
  service_changes_ = services_->changes();
}

void SnapshotDeriver::AddExpiryWork(SteadyTime now, WorkByService* work) const {
  for (const auto& [until, backend_id] : expiries_) {
    if (until > now) break;
    const BackendStatus* backend = board_->Find(backend_id);
    if (backend != nullptr) (*work)[backend->service].backends.insert(backend_id);
  }
  for (const auto& [name, step] : steps_) {
    if (step <= now) (*work)[name].whole = true;
  }
}

bool SnapshotDeriver::Update(const IntentView& view) {
  const bool globals_changed =
      std::exchange(global_changes_, board_->global_changes()) != board_->global_changes();
  bool all = std::exchange(incomplete_, true);
  all = UpdateGlobals(*view) || all;
  WorkByService work;
  AddIntentWork(*view, &work);
  AddStatusWork(*view, &work);
  services_->Update(view);
  AddServiceWork(&work);
  // Read once. Times that run out during this call are left to the next Update().
  const SteadyTime now = now_ = clock_->Steady();
  AddExpiryWork(now, &work);
  if (all) {
    assembler_.Clear();
    derived_.clear();
    expiries_.clear();
    expiry_of_.clear();
    steps_.clear();
    for (const auto& service : view->services) work[service->name()].whole = true;
  }
  const bool changed = all || globals_changed || !work.empty() ||
                       view->revision != view_->revision || view->hash_seed != view_->hash_seed;
  for (const auto& [name, todo] : work) {
    const ServiceIntent* service = view->Find(name);
    if (service == nullptr) {
      assembler_.Remove(name);
      derived_.erase(name);
      steps_.erase(name);
      continue;
    }
    const bool alone = !todo.whole && std::ranges::all_of(todo.backends, [&](uint32_t id) {
      return DeriveBackendAlone(*service, id);
    });
    if (!alone) DeriveWhole(*service);
  }
  // Remove expired times of backends that no longer exist.
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    expiry_of_.erase(expiries_.begin()->second);
    expiries_.erase(expiries_.begin());
  }
  view_ = view;
  incomplete_ = false;
  return changed;
}

bool SnapshotDeriver::Assemble(uint64_t generation) {
  globals_.generation = generation;
  return assembler_.Assemble(globals_);
}

}  // namespace fairlead
