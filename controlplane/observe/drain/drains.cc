#include "controlplane/observe/drain/drains.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "controlplane/common/log.h"
#include "controlplane/core/status_text.h"

namespace fairlead {
namespace {

Records RecordsOf(const ServiceSpec& service) {
  Records records = Records::kNone;
  for (const Frontend& frontend : service.frontends) {
    const Tracking tracking = TrackingFor(service, frontend.protocol);
    if (tracking == Tracking::kAdaptive) return Records::kOfSeenFlows;
    if (tracking == Tracking::kAll) records = Records::kOfAllFlows;
  }
  return records;
}

}  // namespace

DrainController::DrainController(boost::asio::any_io_executor executor, StatusBoard* board,
                                 const Clock* clock, std::function<void()> on_deadline)
    : board_(board),
      clock_(clock),
      trigger_reconcile_(std::move(on_deadline)),
      timer_(executor),
      view_(std::make_shared<Intent>()) {}

SteadyTime DrainController::ToSteady(int64_t wall_ms) const {
  return clock_->Steady() + std::chrono::milliseconds(wall_ms - clock_->WallMs());
}

void DrainController::Reconcile(const IntentView& view) {
  for (const IntentDifference::Service& service : Compare(*view_, *view).services) {
    const bool settings_differ = service.before != nullptr && service.after != nullptr &&
                                 service.before->settings != service.after->settings;
    for (const BackendDifference& each : CompareBackends(service.before, service.after)) {
      const bool stays =
          each.before != nullptr && each.after != nullptr && each.before->id == each.after->id;
      if (each.before != nullptr && !stays) Forget(*each.before);
      if (each.after != nullptr) Follow(*service.after, *each.after);
    }
    if (!settings_differ) continue;
    for (const auto& backend : service.after->backends) Follow(*service.after, *backend);
  }
  view_ = view;
  UpdateFromDataplane();
  Report();
  SetTimer();
}

void DrainController::Forget(const BackendIntent& backend) {
  running_.erase(backend.id);
  keeps_flows_.erase(backend.id);
  const BackendStatus* status = board_->Find(backend.id);
  if (status == nullptr || status->drain.drain_revision == 0) return;
  board_->SetDrain(backend.id, {});
  Log(LogLevel::kInfo, "drain_removed",
      {{"service", status->service}, {"backend", backend.spec.endpoint.ToString()}});
}

void DrainController::Follow(const ServiceIntent& service, const BackendIntent& backend) {
  const BackendStatus* status = board_->Find(backend.id);
  if (!backend.drain.has_value() || status == nullptr) {
    Forget(backend);
    return;
  }
  const DrainIntent& drain = *backend.drain;
  const bool is_known = status->drain.drain_revision == drain.revision;
  if (is_known && status->drain.finished()) return;
  const SteadyTime deadline = ToSteady(drain.deadline_ms);
  const Records records = RecordsOf(service.settings);
  const auto running = running_.find(backend.id);
  if (running == running_.end() || running->second.revision() != drain.revision) {
    running_.insert_or_assign(backend.id, DrainMachine(drain.revision, deadline, records));
  } else {
    running->second.set_deadline(deadline);
    running->second.set_records(records);
  }
  keeps_flows_[backend.id] = service.settings.on_deadline == FlowPolicy::kKeep;
  if (is_known) return;
  board_->SetDrain(backend.id, {.drain_revision = drain.revision});
  Log(LogLevel::kInfo, "drain_started",
      {{"service", service.name()},
       {"backend", backend.spec.endpoint.ToString()},
       {"deadline", FormatRfc3339(drain.deadline_ms)}});
}

void DrainController::UpdateFromDataplane() {
  const DataplaneStatus& dataplane = board_->dataplane();
  const bool is_another = std::exchange(session_, dataplane.session) != dataplane.session;
  for (auto& [id, machine] : running_) {
    if (is_another || !dataplane.connected) machine.OnDisconnect();
    if (dataplane.in_force_revision != 0) {
      machine.OnInForce(dataplane.in_force_revision, clock_->Steady());
    }
  }
}

void DrainController::OnStats(const DataplaneStats& stats, SteadyTime asked_at) {
  if (running_.empty()) return;
  // One millisecond more, because the age is rounded down.
  const SteadyTime counted_at =
      asked_at - std::chrono::milliseconds(stats.flows.swept_at_ms_ago + 1);
  for (const BackendStats& backend : stats.backends) {
    const auto machine = running_.find(backend.id);
    if (machine != running_.end()) {
      machine->second.OnCount({counted_at, backend.flows, backend.shifting_slots});
    }
  }
  Report();
}

void DrainController::Report() {
  const SteadyTime now = clock_->Steady();
  std::vector<uint32_t> over;
  for (const auto& [id, machine] : running_) {
    DrainProgress progress{.drain_revision = machine.revision(),
                           .end = machine.End(now),
                           .remaining_flows = machine.remaining(),
                           .unseen_flows = machine.may_have_unseen_flows()};
    if (progress.finished()) {
      progress.finished_ms = clock_->WallMs();
      progress.flows_kept = progress.end == DrainEnd::kDeadlinePassed && keeps_flows_.at(id);
      progress.unseen_flows = false;
      if (progress.end != DrainEnd::kNoFlowsRemain) progress.remaining_flows.reset();
      over.push_back(id);
    }
    board_->SetDrain(id, progress);
    const BackendStatus* status = board_->Find(id);
    if (!progress.finished() || status == nullptr) continue;
    Log(LogLevel::kInfo, "drained",
        {{"service", status->service},
         {"backend", status->endpoint.ToString()},
         {"reason", DrainEndText(progress)}});
  }
  for (const uint32_t id : over) {
    running_.erase(id);
    keeps_flows_.erase(id);
  }
}

void DrainController::SetTimer() {
  timer_.cancel();
  if (running_.empty()) return;
  const auto next = std::ranges::min_element(
      running_, {}, [](const auto& entry) { return entry.second.deadline(); });
  timer_.expires_at(next->second.deadline());
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) trigger_reconcile_();
  });
}

std::optional<int64_t> UnseenUntilMs(const ServiceSpec& settings, const BackendIntent& backend,
                                     const DrainProgress& progress) {
  if (!backend.drain.has_value() || progress.finished() || !progress.unseen_flows) {
    return std::nullopt;
  }
  return backend.drain->started_ms + LongestIdleTimeoutMs(settings);
}

}  // namespace fairlead
