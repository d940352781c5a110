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

#include "controlplane/common/time.h"
#include "controlplane/core/status_board.h"

namespace fairlead {

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
  // `revision`: the first of the intent that holds the drain.
  DrainMachine(uint64_t revision, SteadyTime deadline, Records records)
      : revision_(revision), deadline_(deadline), records_(records) {}

  uint64_t revision() const { return revision_; }
  void set_deadline(SteadyTime deadline) { deadline_ = deadline; }
  void set_records(Records records) { records_ = records; }
  SteadyTime deadline() const { return deadline_; }

  // The dataplane forwards by the intent of `revision`.
  void OnInForce(uint64_t revision, SteadyTime now);
  // The dataplane is gone, or another one is there: what it confirmed counts no more.
  void OnDisconnect();
  void OnCount(const FlowCount& count);

  // Known from a count that means something.
  std::optional<uint64_t> remaining() const { return remaining_; }
  // True while flows may live that remaining() does not know of.
  bool unseen() const {
    return records_ == Records::kOfSeenFlows && (!remaining_.has_value() || shifting_slots_ != 0);
  }

  // How the drain ended; kNotYet while it runs.
  DrainEnd End(SteadyTime now) const;

 private:
  uint64_t revision_;
  SteadyTime deadline_;
  Records records_;
  std::optional<SteadyTime> in_force_at_;
  std::optional<uint64_t> remaining_;
  uint64_t shifting_slots_ = 0;
};

}  // namespace fairlead
