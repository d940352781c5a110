// Decides when a drain ends. No sockets, no clocks; one thread.
//
//   draining --- a sweep of the flow table that ended after the drain was in force counts 0, and
//            |   (tracking adaptive) no slot shifts away from the backend any more
//            \-- the deadline passes, whatever is known of flows           --> drained
//
// Under adaptive tracking, a flow that has been silent since the drain began has no record, so it
// is not in the count. While slots shift away from the backend, such flows may still send. When
// none does any more, the idle timeout has passed since the drain began, and flows that were silent
// for so long count as ended.
//
// Counts from before the drain was in force are ignored, because a new flow may have come later.
// (The dataplane restarts its sweep with every snapshot. So a sweep that ends after the snapshot is
// in force has counted nothing older.) Counts of a dataplane that has not confirmed the drain (it
// was restarted, or the link is down) are ignored too: the drain then lasts until its deadline.
#pragma once

#include <cstdint>
#include <optional>

#include "controlplane/common/time.h"
#include "controlplane/core/status_board.h"

namespace fairlead {

// The backend's flows in one answer with statistics.
struct FlowCount {
  SteadyTime counted_at;  // never later than the moment the sweep ended
  uint64_t flows = 0;
  uint64_t shifting_slots = 0;  // that still give flows without a record to the backend
};

// Which of a service's flows have records.
enum class Records : uint8_t { kNone, kOfSeenFlows, kOfAllFlows };

class DrainMachine {
 public:
  // `revision`: the first revision of the intent with the drain.
  DrainMachine(uint64_t revision, SteadyTime deadline, Records records)
      : revision_(revision), deadline_(deadline), records_(records) {}

  uint64_t revision() const { return revision_; }
  void set_deadline(SteadyTime deadline) { deadline_ = deadline; }
  void set_records(Records records) { records_ = records; }
  SteadyTime deadline() const { return deadline_; }

  // The dataplane has the intent of `revision` in force.
  void OnInForce(uint64_t revision, SteadyTime now);
  // The dataplane disconnected, or another one connected. Its confirmation and counts no longer
  // apply.
  void OnDisconnect();
  void OnCount(const FlowCount& count);

  // The flows in the last valid count; nullopt: there was none.
  std::optional<uint64_t> remaining() const { return remaining_; }
  // True while there may be live flows that remaining() does not count.
  bool may_have_unseen_flows() const {
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
