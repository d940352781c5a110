// min_healthy of a service: below this number of healthy backends the service counts as down. Pure.
//
// *Counted* are the backends that may take new flows by configuration: weight above 0, not
// draining. A backend without its first check result is not counted yet, so that a service does not
// fall below when backends are added. *Healthy* are those of them that take new flows now. A
// percentage is of the counted backends and rounded up. Never more than all counted backends are
// required.
//
// Hysteresis: a service that fell below is back with one healthy backend more than required, or
// when all counted backends are healthy. So one backend that comes and goes does not change the use
// of all others each time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "lib/base/result.h"
#include "lib/intent/model.h"

namespace fairlead {

struct BackendCounts {
  size_t healthy = 0;
  size_t counted = 0;
  friend bool operator==(const BackendCounts&, const BackendCounts&) = default;
};

// "2" or "30%".
Result<MinHealthy> ParseMinHealthy(std::string_view text);
std::string MinHealthyText(const MinHealthy& min);

size_t RequiredHealthy(const MinHealthy& min, size_t counted);
// `fell`: the service was at its minimum before, and is below it now.
bool IsBelowMinHealthy(const MinHealthy& min, const BackendCounts& counts, bool fell);

}  // namespace fairlead
