#include "controlplane/core/service_states.h"

#include <algorithm>
#include <memory>
#include <set>

#include "controlplane/common/log.h"

namespace fairlead {
namespace {

bool HasState(const ServiceSpec& settings) { return settings.min_healthy.is_set(); }

bool MayTakeNewFlows(const BackendIntent& backend) {
  return backend.spec.weight > 0 && !backend.drain.has_value();
}

}  // namespace

BackendCounts CountBackends(const StatusBoard& board, const ServiceIntent& service) {
  const bool checked = service.settings.health_check.type->probes;
  BackendCounts counts;
  for (const auto& backend : service.backends) {
    const BackendStatus* status = board.Find(backend->id);
    if (status == nullptr || !MayTakeNewFlows(*backend)) continue;
    const HealthState health = checked ? status->health.state : HealthState::kHealthy;
    if (health == HealthState::kInitial) continue;
    ++counts.counted;
    const bool healthy = health == HealthState::kHealthy && status->left_out == LeftOut::kNo;
    counts.healthy += healthy ? 1 : 0;
  }
  return counts;
}

ServiceStates::ServiceStates(const StatusBoard* board, const Clock* clock)
    : board_(board), clock_(clock), view_(std::make_shared<Intent>()) {}

const ServiceStates::State* ServiceStates::Find(const std::string& service) const {
  const auto found = states_.find(service);
  return found == states_.end() ? nullptr : &found->second;
}

void ServiceStates::Update(const IntentView& view) {
  std::set<std::string> touched;
  for (const auto& [before, after] : Compare(*view_, *view).services) {
    // Another service with the name of a removed one begins anew.
    if (before != nullptr && (after == nullptr || after->id != before->id)) {
      states_.erase(before->name());
    }
    if (after != nullptr) touched.insert(after->name());
  }
  const uint64_t next_change = board_->next_change();
  const bool complete =
      board_->VisitChangesSince(next_change_, [&](const StatusBoard::Change& change) {
        using enum StatusBoard::Facet;
        if (change.facet != kAdded && change.facet != kHealth && change.facet != kLeftOut) return;
        const BackendStatus* backend = board_->Find(change.backend_id);
        if (backend != nullptr) touched.insert(backend->service);
      });
  if (!complete) {
    for (const auto& service : view->services) touched.insert(service->name());
  }
  for (const std::string& name : touched) UpdateService(*view, name);
  view_ = view;
  next_change_ = next_change;
}

void ServiceStates::UpdateService(const Intent& view, const std::string& name) {
  const ServiceIntent* service = view.Find(name);
  if (service == nullptr || !HasState(service->settings)) {
    states_.erase(name);
    return;
  }
  State& state = states_[name];
  state.counts = CountBackends(*board_, *service);
  UpdateMinHealthy(*service, &state);
}

void ServiceStates::UpdateMinHealthy(const ServiceIntent& service, State* state) {
  const MinHealthy& min = service.settings.min_healthy;
  const bool below = IsBelowMinHealthy(min, state->counts, state->below && state->was_up);
  state->was_up |= !below && state->counts.healthy > 0;
  const bool is_new = state->since_ms == 0;
  if (!is_new && below == state->below) return;
  state->below = below;
  state->since_ms = clock_->WallMs();
  state->changed = ++changes_;
  if (is_new && !below) return;
  const BackendUse use = UseOfBackends(service.settings, state->counts.healthy, below);
  Log(below ? LogLevel::kWarning : LogLevel::kInfo,
      below ? "service_below_min_healthy" : "service_at_min_healthy",
      {{"service", service.name()},
       {"healthy", state->counts.healthy},
       {"of", state->counts.counted},
       {"min_healthy", RequiredHealthy(min, state->counts.counted)},
       {"used", BackendUseName(use)}});
}

}  // namespace fairlead
