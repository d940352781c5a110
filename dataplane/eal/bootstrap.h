// Starts and ends DPDK's EAL, and keeps its output off the terminal.
#pragma once

#include "dataplane/eal/plan.h"
#include "lib/base/result.h"

namespace fairlead {

// CPUs, hugepages and pid of this process.
HostFacts ReadHostFacts();

// One per process. Main thread. The destructor cleans up EAL, and REQUIRES that ports are closed.
class Eal {
 public:
  // Runs rte_eal_init. On failure, the message explains EAL's log lines in one sentence.
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

// Returns the first error that DPDK logged since the last call, "" if none. The first error is
// nearest to the cause. For error messages.
std::string TakeFirstEalError();

}  // namespace fairlead
