#include "controlplane/observe/own_addresses.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "controlplane/common/log.h"

namespace fairlead {
namespace {

void LogChanges(const std::set<OwnFrontend>& before, const std::set<OwnFrontend>& now) {
  std::vector<OwnFrontend> left_out;
  std::vector<OwnFrontend> back;  // or gone
  std::ranges::set_difference(now, before, std::back_inserter(left_out));
  std::ranges::set_difference(before, now, std::back_inserter(back));
  for (const OwnFrontend& each : left_out) {
    Log(LogLevel::kWarning, "frontend_left_out",
        {{"service", each.service},
         {"frontend", each.frontend.ToString()},
         {"reason", "an address of this host: " + each.owner}});
  }
  for (const OwnFrontend& each : back) {
    Log(LogLevel::kInfo, "frontend_in_use_again",
        {{"service", each.service}, {"frontend", each.frontend.ToString()}});
  }
}

}  // namespace

void OwnAddressController::Reconcile(const IntentView& view) {
  OwnAddresses own;
  for (const auto& [address, interface] : next_hops_->host_addresses()) {
    own.emplace(address, "interface " + interface);
  }
  for (const IpAddress& address : board_->dataplane().own_addresses) {
    own.emplace(address, "addresses of dataplane.yaml");
  }
  // Of services that did not change it is known, unless the addresses did.
  const bool all = own != board_->own_addresses();
  const std::set<OwnFrontend> before = board_->own_frontends();
  std::set<OwnFrontend> frontends;
  if (!all) frontends = before;
  const Intent nothing;
  for (const auto& service : Compare(all ? nothing : *view_, *view).services) {
    if (service.before != nullptr) {
      std::erase_if(frontends, [&](const OwnFrontend& each) {
        return each.service == service.before->name();
      });
    }
    if (service.after == nullptr) continue;
    for (const Frontend& frontend : service.after->settings.frontends) {
      const auto found = own.find(frontend.address);
      if (found != own.end()) frontends.insert({service.after->name(), frontend, found->second});
    }
  }
  if (board_->SetOwnAddresses(std::move(own), std::move(frontends))) {
    LogChanges(before, board_->own_frontends());
  }
  view_ = view;
}

}  // namespace fairlead
