// Builds the arguments for DPDK's EAL: first ours, from the configuration, then those that the
// operator wrote after "--". The operator's take precedence. Pure functions, no DPDK.
//
// Lcores have our own numbers. Lcore 0 is the management thread. It mostly sleeps, and may run on
// any CPU of this process. Lcores 1..N are the workers. Each is bound to one CPU, from the highest
// down, since CPU 0 gets most interrupts. So two CPUs can run two workers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/config/options.h"
#include "lib/base/result.h"

namespace fairlead {

struct HostFacts {
  std::vector<uint32_t> cpus;  // the CPUs that this process may use, ascending
  uint64_t hugepages = 0;      // all sizes together
  uint64_t free_hugepages = 0;
  int pid = 0;
};

struct EalPlan {
  std::vector<std::string> arguments;  // argv, program name first
  std::string file_prefix;             // names EAL's runtime folder
  uint64_t no_huge_mebibytes = 0;      // memory without hugepages; 0: EAL uses hugepages
};

// True if the EAL argument list has the option `name`: as "name", as "name=value" or, if it has one
// letter, as "-xvalue".
bool HasEalOption(const std::vector<std::string>& arguments, const std::string& name);

// Fails with one sentence if the host cannot run this: too few CPUs, no hugepages, no ports.
Result<EalPlan> PlanEal(const Options& options, const HostFacts& host, uint32_t memory_mib);

}  // namespace fairlead
