// The probe of each check type (the list is in probers.cc), and the limit that they share.
#pragma once

#include <cstddef>
#include <map>

#include "controlplane/observe/health/probe.h"

namespace fairlead {

using Probers = std::map<const CheckType*, Prober>;

// One prober for each type that probes. All types together run at most `most_at_once` probes;
// probes beyond that are skipped.
Probers MakeProbers(size_t most_at_once);
// The process's present limit of file descriptors, less those that other parts of the process need.
size_t MostProbesAtOnce();

}  // namespace fairlead
