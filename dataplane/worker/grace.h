// Grace periods: when no worker can still read something that was unpublished. An interface over
// rte_rcu_qsbr, so that the management thread's code is tested without DPDK.
#pragma once

#include <cstdint>

namespace fairlead {

// Management thread.
class GracePeriods {
 public:
  virtual ~GracePeriods() = default;
  // Begins a grace period. REQUIRES that its objects are unpublished already.
  virtual uint64_t Begin() = 0;
  // True if every worker has passed a quiescent state since Begin(). Never waits.
  virtual bool IsOver(uint64_t period) = 0;
};

}  // namespace fairlead
