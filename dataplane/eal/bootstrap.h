// Starts and ends DPDK's EAL, and keeps its chatter off the terminal.
#pragma once

#include "dataplane/eal/plan.h"
#include "lib/base/result.h"

namespace fairlead {

// CPUs, hugepages and pid of this process.
HostFacts ReadHostFacts();

// One per process. Main thread. Its destructor cleans EAL up; ports must be closed before.
class Eal {
 public:
  // Runs rte_eal_init. A failure's message says in one sentence what EAL's own log lines meant.
  static Result<Eal> Start(const EalPlan& plan);
  ~Eal();
  Eal(Eal&& other) noexcept;
  Eal& operator=(Eal&&) = delete;
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

 private:
  Eal() = default;
  bool active_ = true;
};

// The first error that DPDK logged since the last call, "" if none: the one nearest to the cause.
// For the messages of refusals.
std::string TakeFirstEalError();

}  // namespace fairlead
