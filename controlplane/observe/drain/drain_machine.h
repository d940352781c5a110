// When a drain is over, apart from sockets and clocks. Pure; one thread.
//
//   draining --- a sweep of the flow table that ended after the drain was in force counts 0, and
//            |   (tracking adaptive) no slot shifts any more whose old owner the backend is
//            \-- the deadline passes, whatever is known of flows           --> drained
//
// Under adaptive tracking a flow that has sent nothing since the drain began has no record: the
// count is what was seen. As long as slots shift, such flows may yet come; when they no longer do,
// the idle timeout has passed since the drain began, and who was silent that long is gone.
//
// Counts from before the drain was in force say nothing: a new flow may have come since. (The
// dataplane begins its sweep anew with every snapshot, so one that ends after the snapshot is in
// force has seen nothing older.) Nor do counts of a dataplane that has not confirmed the drain (it
// was restarted, or the link is down): the drain then stays until its deadline.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "controlplane/common/time.h"

namespace fairlead {

inline constexpr const char* kDeadlinePassed = "deadline passed";

// Flows of the backend as one statistics answer told them.
struct FlowCount {
  SteadyTime counted_at;  // never later than the moment the sweep ended
  uint64_t flows = 0;
  uint64_t shifting_slots = 0;  // that lead flows without a record to it
};

// Which of a service's flows have records.
enum class Records : uint8_t { kNone, kOfSeenFlows, kOfAllFlows };

class DrainMachine {
 public:
  DrainMachine(uint64_t generation, SteadyTime deadline, Records records)
      : generation_(generation), deadline_(deadline), records_(records) {}

  void set_deadline(SteadyTime deadline) { deadline_ = deadline; }
  SteadyTime deadline() const { return deadline_; }

  // The dataplane confirmed `generation`.
  void OnInForce(uint64_t generation, SteadyTime now);
  // The dataplane is gone, or another one is there: what it confirmed counts no more. `generation`:
  // the first one that the next dataplane can confirm.
  void OnDisconnect(uint64_t generation);
  void OnCount(const FlowCount& count);

  // Known from a count that means something.
  std::optional<uint64_t> remaining() const { return remaining_; }
  // True while flows may live that remaining() does not know of.
  bool unseen() const {
    return records_ == Records::kOfSeenFlows && (!remaining_.has_value() || shifting_slots_ != 0);
  }

  // The reason why the drain is over, if it is.
  std::optional<std::string> Finished(SteadyTime now) const;

 private:
  uint64_t generation_;
  SteadyTime deadline_;
  Records records_;
  std::optional<SteadyTime> in_force_at_;
  std::optional<uint64_t> remaining_;
  uint64_t shifting_slots_ = 0;
};

}  // namespace fairlead
