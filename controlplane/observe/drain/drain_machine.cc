#include "controlplane/observe/drain/drain_machine.h"

namespace fairlead {

void DrainMachine::OnInForce(uint64_t generation, SteadyTime now) {
  if (!in_force_at_.has_value() && generation >= generation_) in_force_at_ = now;
}

void DrainMachine::OnDisconnect(uint64_t generation) {
  generation_ = generation;
  in_force_at_.reset();
  remaining_.reset();
}

void DrainMachine::OnCount(const FlowCount& count) {
  if (!in_force_at_.has_value() || count.counted_at < *in_force_at_) return;
  remaining_ = count.flows;
  shifting_slots_ = count.shifting_slots;
}

std::optional<std::string> DrainMachine::Finished(SteadyTime now) const {
  if (in_force_at_.has_value() && records_ == Records::kNone) {
    return "the service keeps no flow records (tracking none)";
  }
  if (remaining_ == uint64_t{0} && !unseen()) return "no flows remain";
  if (now >= deadline_) return kDeadlinePassed;
  return std::nullopt;
}

}  // namespace fairlead
