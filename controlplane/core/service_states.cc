#include "controlplane/core/service_states.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <utility>

#include "controlplane/common/log.h"
#include "lib/intent/slow_start.h"

namespace fairlead {
namespace {

bool HasState(const ServiceSpec& settings) {
  return settings.min_healthy.is_set() || settings.slow_start_ms != 0;
}

uint64_t MsSince(SteadyTime since, SteadyTime now) {
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - since);
  return static_cast<uint64_t>(std::max<int64_t>(elapsed.count(), 0));
}

bool MayTakeNewFlows(const BackendIntent& backend) {
  return backend.spec.weight > 0 && !backend.drain.has_value();
}

HealthState HealthOf(const StatusBoard& board, const ServiceIntent& service,
                     const BackendIntent& backend) {
  const BackendStatus* status = board.Find(backend.id);
  if (status == nullptr) return HealthState::kInitial;
  return service.settings.health_check.type->probes ? status->health.state : HealthState::kHealthy;
}

// True if it takes new flows.
bool IsHealthy(const StatusBoard& board, const ServiceIntent& service,
               const BackendIntent& backend) {
  if (!MayTakeNewFlows(backend)) return false;
  if (HealthOf(board, service, backend) != HealthState::kHealthy) return false;
  const BackendStatus& status = board.At(backend.id);
  return status.left_out == LeftOut::kNo && !status.outlier.is_ejected();
}

}  // namespace

BackendCounts CountBackends(const StatusBoard& board, const ServiceIntent& service) {
  BackendCounts counts;
  for (const auto& backend : service.backends) {
    if (!MayTakeNewFlows(*backend)) continue;
    if (HealthOf(board, service, *backend) == HealthState::kInitial) continue;
    ++counts.counted;
    counts.healthy += IsHealthy(board, service, *backend) ? 1 : 0;
  }
  return counts;
}

uint32_t ServiceStates::State::PercentOf(uint32_t backend_id, SteadyTime now) const {
  const auto climb = climbing.find(backend_id);
  if (climb == climbing.end()) return kWholeWeight;
  return SlowStartPercent(MsSince(climb->second, now), slow_start_ms);
}

std::optional<SteadyTime> ServiceStates::State::NextStep(SteadyTime now) const {
  std::optional<SteadyTime> next;
  for (const auto& [id, since] : climbing) {
    const auto step_ms = NextSlowStartStepMs(MsSince(since, now), slow_start_ms);
    if (!step_ms.has_value()) continue;
    const SteadyTime step = since + std::chrono::milliseconds(*step_ms);
    next = next.has_value() ? std::min(*next, step) : step;
  }
  return next;
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
      members_.erase(before->name());
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
    members_.erase(name);
    return;
  }
  State& state = states_[name];
  state.counts = CountBackends(*board_, *service);
  UpdateMinHealthy(*service, &state);
  UpdateSlowStart(*service, &state);
}

void ServiceStates::UpdateSlowStart(const ServiceIntent& service, State* state) {
  const std::map<uint32_t, SteadyTime> before = std::exchange(state->climbing, {});
  const uint32_t setting_before =
      std::exchange(state->slow_start_ms, service.settings.slow_start_ms);
  if (state->slow_start_ms == 0) {
    members_.erase(service.name());
  } else {
    FollowMembers(service, before, state);
    if (ClimbsTooMuchOf(service, *state)) state->climbing.clear();
  }
  const bool same_steps = before.empty() || setting_before == state->slow_start_ms;
  if (state->climbing != before || !same_steps) state->changed = ++changes_;
}

// Fills in state->climbing. `before`: the climbs of the last update.
void ServiceStates::FollowMembers(const ServiceIntent& service,
                                  const std::map<uint32_t, SteadyTime>& before, State* state) {
  const SteadyTime now = clock_->Steady();
  const bool is_first = !members_.contains(service.name());
  const Members known = std::exchange(members_[service.name()], {});
  for (const auto& backend : service.backends) {
    const HealthState health = HealthOf(*board_, service, *backend);
    const auto old = known.find(backend->id);
    const bool is_new = old == known.end();
    Member member = is_new ? Member{is_first, is_first} : old->second;
    const bool was_healthy = std::exchange(member.healthy, health == HealthState::kHealthy);
    if (member.healthy) {
      const auto climb = before.find(backend->id);
      if (!was_healthy && !member.first_result_is_exempt) {
        state->climbing.emplace(backend->id, now);
      } else if (climb != before.end() && MsSince(climb->second, now) < state->slow_start_ms) {
        state->climbing.insert(*climb);
      }
    }
    if (health != HealthState::kInitial) member.first_result_is_exempt = false;
    members_[service.name()].emplace(backend->id, member);
  }
}

bool ServiceStates::ClimbsTooMuchOf(const ServiceIntent& service, const State& state) const {
  if (state.climbing.empty()) return false;
  if (UseOfBackends(service.settings, state.counts.healthy, state.below) == BackendUse::kAll) {
    return true;
  }
  const SteadyTime now = clock_->Steady();
  uint64_t weight = 0;
  uint64_t climbing_weight = 0;
  for (const auto& backend : service.backends) {
    if (!IsHealthy(*board_, service, *backend)) continue;
    weight += backend->spec.weight;
    if (state.PercentOf(backend->id, now) < kWholeWeight) climbing_weight += backend->spec.weight;
  }
  return ClimbsTooMuch(climbing_weight, weight);
}

void ServiceStates::UpdateMinHealthy(const ServiceIntent& service, State* state) {
  const MinHealthy& min = service.settings.min_healthy;
  const bool below =
      min.is_set() && IsBelowMinHealthy(min, state->counts, state->below && state->was_up);
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
