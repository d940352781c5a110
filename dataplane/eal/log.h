// Catches DPDK's log lines before they reach stderr.
#pragma once

#include <string>

namespace fairlead {

// Redirects DPDK's log to this module. Call it before rte_eal_init. False if the stream cannot be
// created.
bool CatchEalLog();

// From now on, lines are also passed to spdlog: errors as warnings, DPDK's warnings as information
// if `verbose`. Until then, errors are only kept, for error messages.
void PassEalLogOn(bool verbose);

// Returns the errors that were kept since the last call, oldest first, one per line.
std::string TakeKeptEalLog();

}  // namespace fairlead
