#include "controlplane/observe/neighbours/next_hop_controller.h"

#include <memory>
#include <optional>
#include <utility>

#include "controlplane/common/log.h"

namespace fairlead {
NextHopController::NextHopController(NextHops* next_hops, StatusBoard* board)
    : next_hops_(next_hops), board_(board), view_(std::make_shared<Intent>()) {}

void NextHopController::Reconcile(const IntentView& view) {
  const IntentDifference difference = Compare(*view_, *view);
  FollowFrontends(difference);
  for (const IntentDifference::Service& service : difference.services) {
    if (service.after == nullptr) {
      for (const auto& backend : service.before->backends) Forget(*backend);
      continue;
    }
    const ModeDescriptor& mode = ModeOf(service.after->settings.forwarding);
    for (const BackendDifference& each : CompareBackends(service.before, service.after)) {
      FollowBackend(mode, each.before, each.after);
    }
    if (service.before == nullptr ||
        service.before->settings.forwarding == service.after->settings.forwarding) {
      continue;
    }
    for (const auto& backend : service.after->backends) {
      FollowBackend(mode, backend.get(), backend.get());
    }
  }
  if (!difference.services.empty()) FollowClients(*view);
  view_ = view;
  for (const IpAddress& address : next_hops_->TakeChanged()) {
    const auto backends = backends_.find(address);
    if (backends == backends_.end()) continue;
    for (auto& [id, backend] : backends->second) SetNextHop(address, id, &backend);
  }
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const IpAddress default_route = UnspecifiedAddress(family);
    board_->SetClientNextHop(family, next_hops_->Find(default_route),
                             next_hops_->Waiting(default_route));
  }
}

void NextHopController::FollowFrontends(const IntentDifference& difference) {
  bool changed = false;
  for (const IntentDifference::Service& service : difference.services) {
    const bool same = service.before != nullptr && service.after != nullptr &&
                      service.before->settings.frontends == service.after->settings.frontends;
    if (same) continue;
    changed = true;
    if (service.after != nullptr) {
      for (const Frontend& frontend : service.after->settings.frontends) {
        ++frontends_[frontend.address];
      }
    }
    if (service.before != nullptr) {
      for (const Frontend& frontend : service.before->settings.frontends) {
        const auto entry = frontends_.find(frontend.address);
        if (--entry->second == 0) frontends_.erase(entry);
      }
    }
  }
  if (!changed) return;
  std::set<IpAddress> addresses;
  for (const auto& [address, count] : frontends_) addresses.insert(addresses.end(), address);
  next_hops_->SetFrontends(std::move(addresses));
}

void NextHopController::Forget(const BackendIntent& backend) {
  board_->SetBehindGateway(backend.id, false);
  const auto entry = backends_.find(backend.spec.endpoint.address);
  if (entry == backends_.end()) return;
  entry->second.erase(backend.id);
  if (!entry->second.empty()) return;
  next_hops_->Forget(entry->first);
  backends_.erase(entry);
}

void NextHopController::SetNextHop(const IpAddress& address, uint32_t id, Followed* backend) {
  board_->SetNextHop(id, next_hops_->FindFor(*backend->mode, address));
  const bool behind_gateway = next_hops_->IsBehindGateway(*backend->mode, address);
  board_->SetBehindGateway(id, behind_gateway);
  if (std::exchange(backend->behind_gateway, behind_gateway) == behind_gateway) return;
  const BackendStatus* status = board_->Find(id);
  if (!behind_gateway || status == nullptr) return;
  Log(LogLevel::kWarning, "backend_not_on_link",
      {{"service", status->service},
       {"backend", status->endpoint.ToString()},
       {"reason", next_hops_->MissingReasonFor(*backend->mode, address)}});
}

void NextHopController::FollowBackend(const ModeDescriptor& mode, const BackendIntent* before,
                                      const BackendIntent* after) {
  if (before != nullptr && (after == nullptr || after->id != before->id || after->spec.mac)) {
    Forget(*before);
  }
  if (after == nullptr) return;
  const BackendSpec& spec = after->spec;
  if (spec.mac.has_value()) {
    return board_->SetNextHop(after->id, SnapshotNextHop{*spec.mac, spec.vlan.value_or(0), ""});
  }
  const IpAddress& address = spec.endpoint.address;
  next_hops_->Follow(address);
  Followed& backend = backends_[address][after->id];
  if (std::exchange(backend.mode, &mode) != &mode) SetNextHop(address, after->id, &backend);
}

void NextHopController::FollowClients(const Intent& intent) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const IpAddress default_route = UnspecifiedAddress(family);
    if (intent.NeedsClientNextHop(family)) {
      next_hops_->Follow(default_route);
    } else {
      next_hops_->Forget(default_route);
    }
  }
}

}  // namespace fairlead
