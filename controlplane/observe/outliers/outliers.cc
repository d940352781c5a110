#include "controlplane/observe/outliers/outliers.h"

#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "controlplane/common/log.h"
#include "controlplane/core/service_states.h"
#include "controlplane/core/status_text.h"
#include "lib/intent/min_healthy.h"

namespace fairlead {
namespace {

// How many backends of the service must take new flows.
size_t BackendsToKeep(const StatusBoard& board, const ServiceIntent& service) {
  return RequiredHealthy(service.settings.min_healthy, CountBackends(board, service).counted);
}

// True if it gets new flows unless it is ejected.
bool MayTakeNewFlows(const ServiceSpec& settings, const BackendIntent& backend,
                     const BackendStatus& status) {
  const bool checked = settings.health_check.type->probes;
  return !backend.drain.has_value() && backend.spec.weight > 0 && status.left_out == LeftOut::kNo &&
         (!checked || status.health.state == HealthState::kHealthy);
}

}  // namespace

OutlierController::OutlierController(boost::asio::any_io_executor executor, StatusBoard* board,
                                     const Clock* clock, std::function<void()> on_end)
    : board_(board),
      clock_(clock),
      trigger_reconcile_(std::move(on_end)),
      timer_(executor),
      view_(std::make_shared<Intent>()) {}

std::vector<OutlierInput> OutlierController::InputsOf(const ServiceIntent& service) const {
  std::vector<OutlierInput> inputs;
  inputs.reserve(service.backends.size());
  for (const auto& backend : service.backends) {
    const BackendStatus* status = board_->Find(backend->id);
    inputs.push_back({.backend_id = backend->id,
                      .takes_new_flows = status != nullptr &&
                                         MayTakeNewFlows(service.settings, *backend, *status)});
  }
  return inputs;
}

void OutlierController::Forget(const ServiceIntent& service) {
  if (detectors_.erase(service.name()) == 0) return;
  Changes changes;
  for (const auto& backend : service.backends) {
    const BackendStatus* status = board_->Find(backend->id);
    if (status != nullptr && status->outlier.is_outlier) changes.push_back({backend->id, {}});
  }
  Report(changes);
}

void OutlierController::UpdateService(const ServiceIntent& service) {
  Report(detectors_.at(service.name())
             .Update(clock_->Steady(), service.settings.outlier, InputsOf(service),
                     BackendsToKeep(*board_, service)));
}

void OutlierController::Reconcile(const IntentView& view) {
  for (const auto& [before, after] : Compare(*view_, *view).services) {
    const bool follows = after != nullptr && after->settings.outlier != OutlierPolicy::kOff;
    if (before != nullptr && (!follows || before->id != after->id)) Forget(*before);
    if (!follows) continue;
    detectors_.try_emplace(after->name());
    UpdateService(*after);
  }
  view_ = view;
  if (std::exchange(session_, board_->dataplane().session) != board_->dataplane().session) {
    for (auto& [name, detector] : detectors_) detector.ForgetCounts();
  }
  for (const auto& [name, detector] : detectors_) {
    if (detector.next_end().has_value()) UpdateService(*view_->Find(name));
  }
  SetTimer();
}

void OutlierController::OnStats(const DataplaneStats& stats, SteadyTime asked_at) {
  if (detectors_.empty()) return;
  std::unordered_map<uint32_t, const BackendStats*> counts;
  counts.reserve(stats.backends.size());
  for (const BackendStats& backend : stats.backends) counts.emplace(backend.id, &backend);
  for (auto& [name, detector] : detectors_) {
    const ServiceIntent& service = *view_->Find(name);
    std::vector<OutlierInput> inputs = InputsOf(service);
    for (OutlierInput& input : inputs) {
      const auto found = counts.find(input.backend_id);
      if (found == counts.end()) continue;
      input.is_counted = true;
      input.sampled = found->second->handshakes_sampled;
      input.unanswered = found->second->handshakes_unanswered;
    }
    Report(detector.OnCounts(asked_at, service.settings.outlier, inputs,
                             BackendsToKeep(*board_, service)));
  }
  SetTimer();
}

void OutlierController::Report(const Changes& changes) {
  for (const auto& [id, status] : changes) {
    const BackendStatus* backend = board_->Find(id);
    if (backend == nullptr) continue;
    const bool was_ejected = backend->outlier.is_ejected();
    OutlierStatus shown = status;
    if (shown.is_outlier) shown.since_ms = clock_->WallMs();
    board_->SetOutlier(id, shown);
    if (shown.is_outlier) {
      Log(LogLevel::kWarning, shown.is_ejected() ? "backend_ejected" : "backend_outlier",
          {{"service", backend->service},
           {"backend", backend->endpoint.ToString()},
           {"reason", OutlierText(shown)}});
    } else {
      Log(LogLevel::kInfo, was_ejected ? "backend_back" : "backend_no_outlier",
          {{"service", backend->service}, {"backend", backend->endpoint.ToString()}});
    }
  }
}

void OutlierController::SetTimer() {
  timer_.cancel();
  std::optional<SteadyTime> next;
  for (const auto& [name, detector] : detectors_) {
    const std::optional<SteadyTime> end = detector.next_end();
    if (end.has_value() && (!next.has_value() || *end < *next)) next = end;
  }
  if (!next.has_value()) return;
  timer_.expires_at(*next);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) trigger_reconcile_();
  });
}

}  // namespace fairlead
