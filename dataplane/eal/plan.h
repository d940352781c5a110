// Which arguments DPDK's EAL gets: ours, made of the configuration, and behind them what the
// operator wrote after "--", which wins. Pure, no DPDK.
//
// Threads are lcores of our own numbering: lcore 0 is the management thread and may run on any CPU
// of this process (it mostly sleeps); lcores 1..N are the workers, each pinned to one CPU, taken
// from the highest down, since CPU 0 gets most interrupts. So two CPUs carry two workers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/config/options.h"
#include "lib/base/result.h"

namespace fairlead {

struct HostFacts {
  std::vector<uint32_t> cpus;   // this process may use, ascending
  uint64_t free_hugepages = 0;  // of all sizes
  int pid = 0;
};

struct EalPlan {
  std::vector<std::string> arguments;  // argv, program name first
};

// True when an EAL argument list has `name`, as "name", "name=value" or, for one-letter options,
// "-xvalue".
bool HasEalOption(const std::vector<std::string>& arguments, const std::string& name);

// Fails with one sentence when the host cannot run that: too few CPUs, no hugepages, no ports.
Result<EalPlan> PlanEal(const Options& options, const HostFacts& host, uint32_t memory_mib);

}  // namespace fairlead
