// What a service's backends are together: how many are healthy, whether the service is below its
// min_healthy, and which backends climb (slow_start). That depends on the past, so it is kept here,
// for services that have one of these settings.
//
// min_healthy: a service that this process sees for the first time is below its minimum only if it
// has fewer healthy backends. A restart of fairleadd ends the hysteresis, and nothing else.
//
// slow_start: a backend climbs from the moment at which it becomes healthy. The backends that a
// service has when this process sees it (or its slow_start) for the first time do not climb for
// their first result, as at fairleadd's start. All climbs of a service end when more than half of
// the weight would climb, and while its health is ignored.
//
// Update() may be called by anybody who needs the present state, such as the deriver just before it
// derives. The cost depends on what changed since the last call. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "controlplane/common/time.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"
#include "lib/intent/derive.h"
#include "lib/intent/min_healthy.h"

namespace fairlead {

// Counts the backends as min_healthy.h says.
BackendCounts CountBackends(const StatusBoard& board, const ServiceIntent& service);

class ServiceStates {
 public:
  struct State {
    // The share of its weight that a backend has, in percent.
    uint32_t PercentOf(uint32_t backend_id, SteadyTime now) const;
    // When the next step of a climb begins. nullopt: no backend climbs.
    std::optional<SteadyTime> NextStep(SteadyTime now) const;

    BackendCounts counts;
    bool below = false;    // min_healthy
    bool was_up = false;   // at its minimum, since this process has known the service
    int64_t since_ms = 0;  // wall time at which `below` became what it is
    uint32_t slow_start_ms = 0;
    std::map<uint32_t, SteadyTime> climbing;  // backend ids, and since when; may have ended
    uint64_t changed = 0;  // the number of the last change that concerns the snapshot
  };

  ServiceStates(const StatusBoard* board, const Clock* clock);

  void Update(const IntentView& view);
  // Of the last Update(). Null: the service has no setting that needs a state.
  const State* Find(const std::string& service) const;
  bool IsBelow(const std::string& service) const {
    const State* state = Find(service);
    return state != nullptr && state->below;
  }

  // The number of the last change.
  uint64_t changes() const { return changes_; }
  // Calls visit(name) for the services that changed after change number `after`.
  template <typename Visit>
  void VisitChangedSince(uint64_t after, Visit&& visit) const {
    if (after == changes_) return;
    for (const auto& [name, state] : states_) {
      if (state.changed > after) visit(name);
    }
  }

 private:
  struct Member {
    bool healthy = false;
    bool first_result_is_exempt = false;  // it was there before the first result was expected
  };
  using Members = std::unordered_map<uint32_t, Member>;  // by backend id

  void UpdateService(const Intent& view, const std::string& name);
  void UpdateMinHealthy(const ServiceIntent& service, State* state);
  void UpdateSlowStart(const ServiceIntent& service, State* state);
  void FollowMembers(const ServiceIntent& service, const std::map<uint32_t, SteadyTime>& before,
                     State* state);
  // True if too much of the weight climbs.
  bool ClimbsTooMuchOf(const ServiceIntent& service, const State& state) const;

  const StatusBoard* board_;
  const Clock* clock_;
  IntentView view_;
  uint64_t next_change_ = 1;
  uint64_t changes_ = 0;
  std::unordered_map<std::string, State> states_;
  std::unordered_map<std::string, Members> members_;  // of services with slow_start
};

}  // namespace fairlead
