// Which frontends the checks of a service try, if they go through the dataplane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "lib/intent/model.h"

namespace fairlead {

struct CheckedFrontend {
  size_t index = 0;   // in ServiceSpec::frontends
  uint16_t port = 0;  // one of the frontend's
  friend bool operator==(const CheckedFrontend&, const CheckedFrontend&) = default;
};

// Those of the check's protocol: with `ports: all` all that name a port, else the frontend that
// health_check.frontend names, else the first that has the check's port, or names a port. A range
// is tried on its first port, unless the check has a port. Empty: checks cannot go through the
// dataplane.
std::vector<CheckedFrontend> CheckedFrontends(const ServiceSpec& service);

// Why the checks of this service cannot go through any dataplane: "forwarding nat ...". Empty: they
// can.
std::string WhyNotThroughDataplane(const ServiceSpec& service);

// True if the service did not ask for direct checks, and checks through the dataplane are possible.
bool ChecksThroughDataplane(const ServiceSpec& service);

// The rules for health_check.via and health_check.frontend.
Status ValidateCheckPath(const ServiceSpec& service, std::string_view path);

}  // namespace fairlead
