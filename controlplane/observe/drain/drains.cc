#include "controlplane/observe/drain/drains.h"

#include <set>
#include <utility>
#include <vector>

#include "controlplane/common/log.h"

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

SteadyTime Drains::ToSteady(int64_t wall_ms) const {
  return clock_->Steady() + std::chrono::milliseconds(wall_ms - clock_->WallMs());
}

void Drains::Sync() {
  std::set<uint32_t> live;
  for (const auto& [name, service] : registry_->services()) {
    for (const auto& [endpoint, backend] : service.backends) {
      if (!backend.drain.has_value() || backend.drain->finished()) continue;
      live.insert(backend.id);
      if (running_.contains(backend.id)) continue;
      running_.emplace(backend.id,
                       DrainMachine(registry_->generation(), ToSteady(backend.drain->deadline_ms),
                                    RecordsOf(**registry_->FindService(name))));
    }
  }
  std::erase_if(running_, [&](const auto& entry) { return !live.contains(entry.first); });
}

Result<uint64_t> Drains::Start(BackendRuntime* backend, std::optional<uint32_t> timeout_ms) {
  if (backend->drain.has_value() && (backend->drain->finished() || !timeout_ms.has_value())) {
    return registry_->generation();
  }
  ASSIGN_OR_RETURN(const ServiceSpec* service, registry_->FindService(backend->service));
  const uint32_t timeout = timeout_ms.value_or(service->drain_timeout_ms);
  DrainRecord drain = backend->drain.value_or(DrainRecord{});
  if (drain.started_ms == 0) drain.started_ms = clock_->WallMs();
  drain.deadline_ms = drain.started_ms + timeout;
  // Registered by Sync(), which the registry's change callback runs; only a moved deadline is
  // ours.
  ASSIGN_OR_RETURN(const uint64_t generation, registry_->PutDrain(backend, drain));
  Sync();
  const auto machine = running_.find(backend->id);
  if (machine != running_.end()) machine->second.set_deadline(ToSteady(drain.deadline_ms));
  Log(LogLevel::kInfo, "drain_started",
      {{"service", backend->service},
       {"backend", backend->endpoint.ToString()},
       {"deadline", FormatRfc3339(drain.deadline_ms)}});
  return generation;
}

Result<uint64_t> Drains::Undrain(BackendRuntime* backend) {
  if (!backend->drain.has_value()) {
    return NotFound("backend " + backend->endpoint.ToString() + " of service '" + backend->service +
                    "' is not draining");
  }
  ASSIGN_OR_RETURN(const uint64_t generation, registry_->RemoveDrain(backend));
  Sync();
  Log(LogLevel::kInfo, "drain_removed",
      {{"service", backend->service}, {"backend", backend->endpoint.ToString()}});
  return generation;
}

void Drains::OnInForce(uint64_t generation) {
  const SteadyTime now = clock_->Steady();
  for (auto& [id, machine] : running_) machine.OnInForce(generation, now);
}

void Drains::OnDisconnect() {
  for (auto& [id, machine] : running_) machine.OnDisconnect(registry_->generation());
}

void Drains::OnStats(const DataplaneStats& stats, SteadyTime asked_at) {
  // One more: the age is rounded down.
  const SteadyTime counted_at =
      asked_at - std::chrono::milliseconds(stats.flows.swept_at_ms_ago + 1);
  for (const BackendStats& backend : stats.backends) {
    const auto machine = running_.find(backend.id);
    if (machine != running_.end()) {
      machine->second.OnCount({counted_at, backend.flows, backend.shifting_slots});
    }
  }
}

void Drains::Tick() {
  const SteadyTime now = clock_->Steady();
  std::vector<std::pair<uint32_t, std::string>> over;
  for (const auto& [id, machine] : running_) {
    if (std::optional<std::string> reason = machine.Finished(now); reason.has_value()) {
      over.emplace_back(id, *std::move(reason));
    }
  }
  for (auto& [id, reason] : over) {
    BackendRuntime* backend = registry_->FindRuntime(id);
    if (backend == nullptr || !backend->drain.has_value()) continue;
    DrainRecord drain = *backend->drain;
    drain.finished_ms = clock_->WallMs();
    drain.reason = reason;
    const Result<const ServiceSpec*> service = registry_->FindService(backend->service);
    if (service.ok() && (*service)->on_deadline == FlowPolicy::kKeep && reason == kDeadlinePassed) {
      drain.reason += kFlowsKept;
    }
    if (Result<uint64_t> stored = registry_->PutDrain(backend, drain); !stored.ok()) {
      if (std::exchange(not_stored_, stored.status().message()) != not_stored_) {
        Log(LogLevel::kError, "drain_not_stored", {{"reason", not_stored_}});
      }
      continue;  // it runs on, and is tried again
    }
    not_stored_.clear();
    Log(LogLevel::kInfo, "drained",
        {{"service", backend->service},
         {"backend", backend->endpoint.ToString()},
         {"reason", drain.reason}});
  }
  if (!over.empty()) Sync();
}

std::optional<int64_t> Drains::UnseenUntilMs(const BackendRuntime& backend) const {
  const auto machine = running_.find(backend.id);
  const Result<const ServiceSpec*> service = registry_->FindService(backend.service);
  if (machine == running_.end() || !machine->second.unseen() || !service.ok()) return std::nullopt;
  return backend.drain->started_ms + LongestIdleTimeoutMs(**service);
}

std::optional<uint64_t> Drains::Remaining(const BackendRuntime& backend) const {
  const auto machine = running_.find(backend.id);
  if (machine != running_.end()) return machine->second.remaining();
  if (backend.drain.has_value() && backend.drain->reason == "no flows remain") return uint64_t{0};
  return std::nullopt;
}

}  // namespace fairlead
