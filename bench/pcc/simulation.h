// Runs a scenario: moves the clock, the backends, the balancers and the flows of a Contest.
#pragma once

#include "bench/pcc/contest.h"
#include "bench/pcc/scenario.h"

namespace fairlead::pcc {

Result Simulate(const Scenario& scenario);

}  // namespace fairlead::pcc
