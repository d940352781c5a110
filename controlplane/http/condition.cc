#include "controlplane/http/condition.h"

#include <set>
#include <utility>

namespace fairlead {

std::string_view ConditionName(Condition condition) {
  static constexpr std::array<std::string_view, kConditionCount> kNames = {
      "initial", "healthy", "unchecked", "unhealthy", "draining", "drained", "unused", "ejected"};
  return kNames[static_cast<size_t>(condition)];
}

DrainProgress ProgressOf(const BackendIntent& backend, const BackendStatus& status) {
  const bool same =
      backend.drain.has_value() && status.drain.drain_revision == backend.drain->revision;
  return same ? status.drain : DrainProgress{};
}

Condition ConditionOf(const ServiceSpec& settings, const BackendIntent& backend,
                      const BackendStatus& status) {
  if (backend.drain.has_value()) {
    return ProgressOf(backend, status).finished() ? Condition::kDrained : Condition::kDraining;
  }
  if (status.health.state == HealthState::kInitial) return Condition::kInitial;
  if (status.health.state == HealthState::kUnhealthy) return Condition::kUnhealthy;
  if (status.left_out != LeftOut::kNo || backend.spec.weight == 0) return Condition::kUnused;
  if (status.outlier.is_ejected()) return Condition::kEjected;
  return settings.health_check.type->probes ? Condition::kHealthy : Condition::kUnchecked;
}

void ConditionCounts::CountAgain(const Intent& view, const std::string& name) {
  static const BackendStatus kUnknown;
  Counts& counts = by_service_[name];
  for (size_t i = 0; i < kConditionCount; ++i) total_[i] -= counts[i];
  counts = {};
  const ServiceIntent* service = view.Find(name);
  if (service == nullptr) {
    by_service_.erase(name);
    return;
  }
  for (const auto& backend : service->backends) {
    const BackendStatus* status = board_->Find(backend->id);
    const Condition condition =
        ConditionOf(service->settings, *backend, status == nullptr ? kUnknown : *status);
    ++counts[static_cast<size_t>(condition)];
  }
  for (size_t i = 0; i < kConditionCount; ++i) total_[i] += counts[i];
}

const ConditionCounts::Counts& ConditionCounts::Of(const IntentView& view) {
  if (std::exchange(incomplete_, true)) {
    by_service_.clear();
    total_ = {};
    view_ = std::make_shared<Intent>();
  }
  std::set<std::string> changed;
  for (const auto& service : Compare(*view_, *view).services) {
    changed.insert((service.after != nullptr ? service.after : service.before)->name());
  }
  const bool complete =
      board_->VisitChangesSince(next_change_, [&](const StatusBoard::Change& change) {
        const BackendStatus* backend = board_->Find(change.backend_id);
        if (backend != nullptr) changed.insert(backend->service);
      });
  if (!complete) {
    for (const auto& service : view->services) changed.insert(service->name());
  }
  next_change_ = board_->next_change();
  view_ = view;
  for (const std::string& name : changed) CountAgain(*view, name);
  incomplete_ = false;
  return total_;
}

}  // namespace fairlead
