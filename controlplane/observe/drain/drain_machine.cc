#include "controlplane/observe/drain/drain_machine.h"

namespace fairlead {

void DrainMachine::OnInForce(uint64_t revision, SteadyTime now) {
  if (!in_force_at_.has_value() && revision >= revision_) in_force_at_ = now;
}

void DrainMachine::OnDisconnect() {
  in_force_at_.reset();
  remaining_.reset();
}

void DrainMachine::OnCount(const FlowCount& count) {
  if (!in_force_at_.has_value() || count.counted_at < *in_force_at_) return;
  remaining_ = count.flows;
  shifting_slots_ = count.shifting_slots;
}

DrainEnd DrainMachine::End(SteadyTime now) const {
  if (in_force_at_.has_value() && records_ == Records::kNone) return DrainEnd::kNoRecords;
  if (remaining_ == uint64_t{0} && !may_have_unseen_flows()) return DrainEnd::kNoFlowsRemain;
  if (now >= deadline_) return DrainEnd::kDeadlinePassed;
  return DrainEnd::kNotYet;
}

}  // namespace fairlead
