#include "controlplane/core/status_board.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace fairlead {
namespace {

// More changes than a reader misses between two reads. After a start it may miss more; then it
// reads everything.
constexpr size_t kChangesRemembered = 65'536;

}  // namespace

const PortLink* DataplaneStatus::LinkOf(const std::string& interface) const {
  const auto found = std::ranges::find(links, interface, &PortLink::interface);
  return found == links.end() ? nullptr : &*found;
}

BackendStatus* StatusBoard::Get(uint32_t backend_id) {
  const auto found = backends_.find(backend_id);
  return found == backends_.end() ? nullptr : &found->second;
}

const BackendStatus* StatusBoard::Find(uint32_t backend_id) const {
  return const_cast<StatusBoard*>(this)->Get(backend_id);
}

const BackendStatus& StatusBoard::At(uint32_t backend_id) const {
  const BackendStatus* backend = Find(backend_id);
  CHECK(backend != nullptr);
  return *backend;
}

void StatusBoard::Changed(uint32_t backend_id, Facet facet) {
  changes_.push_back({backend_id, facet});
  if (changes_.size() > kChangesRemembered) {
    changes_.pop_front();
    ++first_change_;
  }
  if (on_change_) on_change_();
}

template <typename Edit>
void StatusBoard::Update(BackendStatus* backend, Edit edit) {
  incomplete_count_ -= IsIncomplete(*backend) ? 1 : 0;
  running_drains_ -= DrainRuns(*backend) ? 1 : 0;
  edit(backend);
  incomplete_count_ += IsIncomplete(*backend) ? 1 : 0;
  running_drains_ += DrainRuns(*backend) ? 1 : 0;
}

void StatusBoard::Restore(uint32_t backend_id, const StoredStatus& stored) {
  stored_[backend_id] = stored;
}

void StatusBoard::Add(const ServiceIntent& service, const BackendIntent& backend) {
  if (backends_.contains(backend.id)) return;
  BackendStatus status;
  status.service = service.name();
  status.endpoint = backend.spec.endpoint;
  status.health.since_ms = clock_->WallMs();
  status.health_since = clock_->Steady();
  if (const auto stored = stored_.find(backend.id); stored != stored_.end()) {
    status.health = stored->second.health;
    status.drain = stored->second.drain;
    // The stored wall time says how long the state has lasted. The clock may have been set since
    // then, so the result is limited to 0 ... kMaxKeepUnhealthyMs.
    const int64_t ago_ms = std::clamp<int64_t>(clock_->WallMs() - status.health.since_ms, 0,
                                               int64_t{kMaxKeepUnhealthyMs});
    status.health_since = clock_->Steady() - std::chrono::milliseconds(ago_ms);
  }
  const bool incomplete = IsIncomplete(status);
  const bool drains = DrainRuns(status);
  backends_.emplace(backend.id, std::move(status));
  stored_.erase(backend.id);
  incomplete_count_ += incomplete ? 1 : 0;
  running_drains_ += drains ? 1 : 0;
  Changed(backend.id, Facet::kAdded);
}

void StatusBoard::Remove(const BackendIntent& backend) {
  const auto entry = backends_.find(backend.id);
  if (entry == backends_.end()) return;
  incomplete_count_ -= IsIncomplete(entry->second) ? 1 : 0;
  running_drains_ -= DrainRuns(entry->second) ? 1 : 0;
  backends_.erase(entry);
  SetBehindGateway(backend.id, false);
  Changed(backend.id, Facet::kRemoved);
}

void StatusBoard::Follow(const IntentView& view) {
  static const Intent kNothing;
  const Intent& before = view_ == nullptr ? kNothing : *view_;
  if (&before == view.get()) return;
  for (const IntentDifference::Service& service : Compare(before, *view).services) {
    for (const BackendDifference& backend : CompareBackends(service.before, service.after)) {
      const bool stays = backend.before != nullptr && backend.after != nullptr &&
                         backend.before->id == backend.after->id;
      if (stays) continue;
      if (backend.before != nullptr) Remove(*backend.before);
      if (backend.after != nullptr) Add(*service.after, *backend.after);
    }
  }
  view_ = view;
}

void StatusBoard::SetHealth(uint32_t backend_id, HealthState state, const CheckResult& verdict) {
  BackendStatus* backend = Get(backend_id);
  if (backend == nullptr) return;
  const bool same = backend->health.state == state;
  if (same && backend->health.verdict == verdict) return;
  Update(backend, [&](BackendStatus* status) {
    if (!same) {
      status->health_since = clock_->Steady();
      status->health.since_ms = clock_->WallMs();
    }
    status->health.state = state;
    status->health.verdict = verdict;
  });
  Changed(backend_id, Facet::kHealth);
}

void StatusBoard::SetProbe(uint32_t backend_id, const CheckResult& verdict) {
  BackendStatus* backend = Get(backend_id);
  if (backend == nullptr) return;
  const bool made_again = backend->probe.not_made != nullptr;
  backend->probe = {clock_->WallMs(), verdict};
  if (made_again) Changed(backend_id, Facet::kProbe);
}

void StatusBoard::SetProbeNotMade(uint32_t backend_id, std::shared_ptr<const std::string> reason) {
  BackendStatus* backend = Get(backend_id);
  if (backend == nullptr) return;
  const bool same = backend->probe.not_made != nullptr && *backend->probe.not_made == *reason;
  backend->probe.not_made = std::move(reason);
  if (!same) Changed(backend_id, Facet::kProbe);
}

// Nobody waits for it: it is shown only.
void StatusBoard::SetCertificate(uint32_t backend_id, std::optional<int64_t> not_after_s) {
  BackendStatus* backend = Get(backend_id);
  if (backend != nullptr) backend->certificate_not_after_s = not_after_s;
}

void StatusBoard::SetNextHop(uint32_t backend_id, const std::optional<SnapshotNextHop>& next_hop) {
  BackendStatus* backend = Get(backend_id);
  if (backend == nullptr || backend->next_hop == next_hop) return;
  Update(backend, [&](BackendStatus* status) { status->next_hop = next_hop; });
  Changed(backend_id, Facet::kNextHop);
}

void StatusBoard::SetClientNextHop(Family family, const std::optional<SnapshotNextHop>& next_hop,
                                   bool waiting) {
  ClientNextHop& client = client_next_hops_[Index(family)];
  if (client.next_hop == next_hop && client.waiting == waiting) return;
  client = {next_hop, waiting};
  ++global_changes_;
  if (on_change_) on_change_();
}

void StatusBoard::SetDrain(uint32_t backend_id, const DrainProgress& progress) {
  BackendStatus* backend = Get(backend_id);
  if (backend == nullptr || backend->drain == progress) return;
  const bool counts_only = backend->drain.drain_revision == progress.drain_revision &&
                           backend->drain.end == progress.end;
  Update(backend, [&](BackendStatus* status) { status->drain = progress; });
  Changed(backend_id, counts_only ? Facet::kFlows : Facet::kDrain);
}

void StatusBoard::SetOutlier(uint32_t backend_id, const OutlierStatus& outlier) {
  BackendStatus* backend = Get(backend_id);
  if (backend == nullptr || backend->outlier == outlier) return;
  backend->outlier = outlier;
  Changed(backend_id, Facet::kOutlier);
}

void StatusBoard::SetDataplane(const DataplaneStatus& dataplane) {
  if (dataplane_ == dataplane) return;
  dataplane_ = dataplane;
  if (on_change_) on_change_();
}

void StatusBoard::SetIsolation(const IsolationStatus& isolation) {
  if (isolation_ == isolation) return;
  isolation_ = isolation;
  if (on_change_) on_change_();
}

bool StatusBoard::UpdateLeftOut(uint32_t backend_id) {
  const auto reported = left_out_by_dataplane_.find(backend_id);
  LeftOut reason = reported == left_out_by_dataplane_.end() ? LeftOut::kNo : reported->second;
  if (behind_gateway_.contains(backend_id)) reason = LeftOut::k_behind_gateway;
  if (reason == LeftOut::kNo) {
    left_out_.erase(backend_id);
  } else {
    left_out_[backend_id] = reason;
  }
  BackendStatus* backend = Get(backend_id);
  if (backend == nullptr || backend->left_out == reason) return false;
  backend->left_out = reason;
  Changed(backend_id, Facet::kLeftOut);
  return true;
}

void StatusBoard::SetBehindGateway(uint32_t backend_id, bool behind_gateway) {
  if (behind_gateway && Get(backend_id) != nullptr) {
    behind_gateway_.insert(backend_id);
  } else if (behind_gateway_.erase(backend_id) == 0) {
    return;
  }
  UpdateLeftOut(backend_id);
}

std::vector<uint32_t> StatusBoard::SetLeftOut(const LeftOutBackends& left_out) {
  const LeftOutBackends before = std::exchange(left_out_by_dataplane_, left_out);
  std::vector<uint32_t> changed;
  for (const auto& [id, reason] : before) {
    if (!left_out.contains(id) && UpdateLeftOut(id)) changed.push_back(id);
  }
  for (const auto& [id, reason] : left_out) {
    if (UpdateLeftOut(id)) changed.push_back(id);
  }
  return changed;
}

bool StatusBoard::SetFrontends(OwnAddresses own, std::set<LeftOutFrontend> left_out) {
  if (own == own_addresses_ && left_out == left_out_frontends_) return false;
  own_addresses_ = std::move(own);
  left_out_frontends_ = std::move(left_out);
  ++global_changes_;
  if (on_change_) on_change_();
  return true;
}

}  // namespace fairlead
