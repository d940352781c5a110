// DPDK's log lines, caught before they reach stderr.
#pragma once

#include <string>

namespace fairlead {

// Sends DPDK's log to us. Before rte_eal_init. False when the stream cannot be made.
bool CatchEalLog();

// From now on, lines are passed on to spdlog: errors as warnings, DPDK's warnings when `verbose`.
// Until then errors are kept only: what a refusal needs of them becomes part of its sentence.
void PassEalLogOn(bool verbose);

// The errors that were kept since the last call, oldest first, a line each.
std::string TakeKeptEalLog();

}  // namespace fairlead
