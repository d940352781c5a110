// When nobody can still be looking at something that was unpublished: rte_rcu_qsbr behind a seam,
// so that the management thread's logic is tested without DPDK.
#pragma once

#include <cstdint>

namespace fairlead {

// Management thread.
class GracePeriods {
 public:
  virtual ~GracePeriods() = default;
  // Begins a grace period. REQUIRES that what it shall cover is unpublished already.
  virtual uint64_t Begin() = 0;
  // True when every worker has passed a quiescent state since. Never waits.
  virtual bool IsOver(uint64_t period) = 0;
};

}  // namespace fairlead
