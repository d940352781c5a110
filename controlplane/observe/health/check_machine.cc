#include "controlplane/observe/health/check_machine.h"

#include <limits>
#include <utility>

namespace fairlead {

bool CheckMachine::Finish(uint64_t probe, bool passed) {
  if (!waiting_ || probe != probe_) return false;
  waiting_ = false;
  const bool pardoned = std::exchange(pardons_next_, false) && !passed;
  if (pardoned) return false;
  uint32_t& counter = passed ? passes_ : failures_;
  if (counter < std::numeric_limits<uint32_t>::max()) ++counter;
  (passed ? failures_ : passes_) = 0;
  if (passed) {
    const bool enough = state_ == HealthState::kInitial || passes_ >= rise_;
    return enough && Become(HealthState::kHealthy);
  }
  return failures_ >= fall_ && Become(HealthState::kUnhealthy);
}

bool CheckMachine::Become(HealthState state) {
  if (state_ == state) return false;
  state_ = state;
  return true;
}

}  // namespace fairlead
