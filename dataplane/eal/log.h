// DPDK's log lines, caught before they reach stderr.
#pragma once

#include <string>

namespace fairlead {

// Sends DPDK's log to us. Before rte_eal_init. False when the stream cannot be made.
bool CatchEalLog();

// From now on, lines are passed on to spdlog: errors as warnings, DPDK's warnings when `verbose`.
// Until then they are kept only.
void PassEalLogOn(bool verbose);

// All that was kept since the last call, newest last.
std::string TakeKeptEalLog();

}  // namespace fairlead
