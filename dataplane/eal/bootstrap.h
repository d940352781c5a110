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
  // DPDK's errors go to spdlog afterwards, its warnings too when `verbose`.
  static Result<Eal> Start(const EalPlan& plan, bool verbose);
  ~Eal();
  Eal(Eal&& other) noexcept;
  Eal& operator=(Eal&&) = delete;
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

 private:
  explicit Eal(bool remove_runtime_dir) : remove_runtime_dir_(remove_runtime_dir) {}
  bool active_ = true;
  bool remove_runtime_dir_;
};

// The last error that DPDK logged, "" if none since the last call. For the messages of refusals.
std::string TakeLastEalError();

}  // namespace fairlead
