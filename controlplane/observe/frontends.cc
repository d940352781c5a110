#include "controlplane/observe/frontends.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "controlplane/common/log.h"
#include "controlplane/core/status_text.h"

namespace fairlead {
namespace {

void LogChanges(const std::set<LeftOutFrontend>& before, const std::set<LeftOutFrontend>& now) {
  std::vector<LeftOutFrontend> left_out;
  std::vector<LeftOutFrontend> back;  // or gone
  std::ranges::set_difference(now, before, std::back_inserter(left_out));
  std::ranges::set_difference(before, now, std::back_inserter(back));
  for (const LeftOutFrontend& each : left_out) {
    Log(LogLevel::kWarning, "frontend_left_out",
        {{"service", each.service},
         {"frontend", each.frontend.ToString()},
         {"reason", LeftOutFrontendText(each)}});
  }
  for (const LeftOutFrontend& each : back) {
    Log(LogLevel::kInfo, "frontend_in_use_again",
        {{"service", each.service}, {"frontend", each.frontend.ToString()}});
  }
}

void AddLeftOut(const ServiceIntent& service, const OwnAddresses& own,
                std::set<LeftOutFrontend>* left_out) {
  for (const Frontend& frontend : service.settings.frontends) {
    const auto found = own.find(frontend.address);
    if (found != own.end()) {
      left_out->insert(
          {service.name(), frontend, FrontendLeftOutReason::kOwnAddress, found->second});
    } else if (!IsStillAllowed(service.settings, frontend)) {
      left_out->insert({service.name(), frontend, FrontendLeftOutReason::kNatAnyPort});
    }
  }
}

}  // namespace

void FrontendController::Reconcile(const IntentView& view) {
  OwnAddresses own;
  for (const auto& [address, interface] : next_hops_->host_addresses()) {
    own.emplace(address, "interface " + interface);
  }
  for (const IpAddress& address : board_->dataplane().own_addresses) {
    own.emplace(address, "addresses of dataplane.yaml");
  }
  // If the addresses are unchanged, only changed services are checked.
  const bool all = own != board_->own_addresses();
  const std::set<LeftOutFrontend> before = board_->left_out_frontends();
  std::set<LeftOutFrontend> frontends;
  if (!all) frontends = before;
  const Intent nothing;
  for (const auto& service : Compare(all ? nothing : *view_, *view).services) {
    if (service.before != nullptr) {
      std::erase_if(frontends, [&](const LeftOutFrontend& each) {
        return each.service == service.before->name();
      });
    }
    if (service.after != nullptr) AddLeftOut(*service.after, own, &frontends);
  }
  if (board_->SetFrontends(std::move(own), std::move(frontends))) {
    LogChanges(before, board_->left_out_frontends());
  }
  view_ = view;
}

}  // namespace fairlead
