// How each type of check probes: the list of all (probers.cc), and the limit that they share.
#pragma once

#include <cstddef>
#include <map>

#include "controlplane/observe/health/probe.h"

namespace fairlead {

using Probers = std::map<const CheckType*, Prober>;

// One for each type that probes. Attempts beyond `most_at_once`, of all types together, are not made.
Probers MakeProbers(size_t most_at_once);
// As many as leave descriptors for everything else that the process does, under its present limit.
size_t MostProbesAtOnce();

}  // namespace fairlead
