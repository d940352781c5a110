#include "controlplane/observe/health/check_plan.h"

#include "lib/intent/checks/checked_frontends.h"

namespace fairlead {

std::string WhyDirect(const ServiceSpec& service, const WhyNotThrough& why_not) {
  // If the service asked for checks through the dataplane, they wait until these are possible.
  if (service.health_check.via || !ChecksThroughDataplane(service)) return "";
  for (const CheckedFrontend& each : CheckedFrontends(service)) {
    std::string why = why_not(service.frontends[each.index].address.family());
    if (!why.empty()) return why;
  }
  return "";
}

std::vector<CheckKey> PlanChecks(const ServiceSpec& service, const BackendIntent& backend,
                                 const WhyNotThrough& why_not) {
  std::vector<CheckKey> keys;
  const HealthCheck& check = service.health_check;
  if (!check.type->probes) return keys;
  CheckKey key{check.type,
               backend.spec.endpoint.address,
               0,
               check.interval_ms,
               check.timeout_ms,
               check.rise,
               check.fall,
               check.settings};
  if (ChecksThroughDataplane(service) && WhyDirect(service, why_not).empty()) {
    for (const CheckedFrontend& each : CheckedFrontends(service)) {
      key.port = each.port;
      key.through = CheckedThrough{static_cast<uint16_t>(each.index + 1),
                                   service.frontends[each.index].address, backend.id};
      keys.push_back(key);
    }
    return keys;
  }
  for (const uint16_t port : check.type->ports(service, backend.spec)) {
    key.port = port;
    keys.push_back(key);
  }
  return keys;
}

}  // namespace fairlead
