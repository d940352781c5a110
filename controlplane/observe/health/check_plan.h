// Which probes a backend needs: pure, from its service's settings and what is known of the
// dataplane.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/core/intent.h"
#include "controlplane/observe/health/probe.h"

namespace fairlead {

// A frontend that is tried through the dataplane.
struct CheckedThrough {
  uint16_t frontend = 0;    // CheckResult::frontend
  IpAddress address;        // the frontend's
  uint32_t backend_id = 0;  // the only backend of such a check
  friend auto operator<=>(const CheckedThrough&, const CheckedThrough&) = default;
};

// Backends with equal keys share a check.
struct CheckKey {
  const CheckType* type = nullptr;
  IpAddress address;  // the backend's
  uint16_t port = 0;  // to probe; 0: none is needed
  uint32_t interval_ms = 0;
  uint32_t timeout_ms = 0;
  uint32_t rise = 0;
  uint32_t fall = 0;
  CheckSettings settings = {};                 // the type's own
  std::optional<CheckedThrough> through = {};  // unset: the check is direct
  friend auto operator<=>(const CheckKey&, const CheckKey&) = default;
};

// Why checks of frontends of this family cannot go through the dataplane; empty: they can.
using WhyNotThrough = std::function<std::string(Family family)>;

// Why the service's checks are direct although it did not ask for that; empty: they are not, or it
// did.
std::string WhyDirect(const ServiceSpec& service, const WhyNotThrough& why_not);

// None: the service has no check, or there is no port to probe.
std::vector<CheckKey> PlanChecks(const ServiceSpec& service, const BackendIntent& backend,
                                 const WhyNotThrough& why_not);

}  // namespace fairlead
