#include "controlplane/core/rules.h"

#include <algorithm>
#include <vector>

namespace fairlead {

Status RuleBook::JudgeOwnAddresses(const ServiceSpec& service, const ServiceIntent* present,
                                   std::string_view path) const {
  if (own_addresses_ == nullptr) return {};
  for (size_t i = 0; i < service.frontends.size(); ++i) {
    const Frontend& frontend = service.frontends[i];
    if (present != nullptr && std::ranges::count(present->settings.frontends, frontend) != 0) {
      continue;
    }
    const auto own = own_addresses_->find(frontend.address);
    if (own == own_addresses_->end()) continue;
    return FailedPrecondition(std::string(path) + "frontends[" + std::to_string(i) + "]: " +
                              frontend.ToString() + " is an address of this host (" + own->second +
                              "), which would be cut off; give the service an address of its own, "
                              "or this one to the loopback interface");
  }
  return {};
}

Status RuleBook::JudgeNew(const ServiceSpec& service, const ServiceIntent* present,
                          std::string_view path) const {
  const bool is_as_before = present != nullptr &&
                            present->settings.frontends == service.frontends &&
                            present->settings.forwarding == service.forwarding &&
                            present->settings.health_check == service.health_check;
  if (!is_as_before) RETURN_IF_ERROR(ValidateNewService(service, path));
  return JudgeOwnAddresses(service, present, path);
}

// Changed services come last, so that it is they who claim what another has.
Status RuleBook::Judge(const Intent& before, const Intent& after) const {
  IntentSpec spec;
  spec.services.reserve(after.services.size());
  std::vector<const ServiceIntent*> changed;
  for (const auto& service : after.services) {
    if (before.Find(service->name()) == service.get()) {
      spec.services.push_back(service->Spec());
    } else {
      changed.push_back(service.get());
    }
  }
  for (const ServiceIntent* service : changed) {
    const std::string path = "services[" + std::to_string(spec.services.size()) + "].";
    spec.services.push_back(service->Spec());
    RETURN_IF_ERROR(ValidateServiceAt(spec.services.back(), path));
    RETURN_IF_ERROR(JudgeNew(spec.services.back(), before.Find(service->name()), path));
  }
  return ValidateBetweenServices(spec);
}

}  // namespace fairlead
