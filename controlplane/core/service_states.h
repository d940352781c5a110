// What a service's backends are together: how many are healthy, and whether the service is below
// its min_healthy. That depends on the past (hysteresis), so it is kept here, for services that
// have the setting. A service that this process sees for the first time is below its minimum only
// if it has fewer healthy backends: a restart of fairleadd ends the hysteresis, and nothing else.
//
// Update() may be called by anybody who needs the present state, such as the deriver just before it
// derives. The cost depends on what changed since the last call. One thread.
#pragma once

#include <cstdint>
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
    BackendCounts counts;
    bool below = false;    // min_healthy
    bool was_up = false;   // at its minimum, since this process has known the service
    int64_t since_ms = 0;  // wall time at which `below` became what it is
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
  void UpdateService(const Intent& view, const std::string& name);
  void UpdateMinHealthy(const ServiceIntent& service, State* state);

  const StatusBoard* board_;
  const Clock* clock_;
  IntentView view_;
  uint64_t next_change_ = 1;
  uint64_t changes_ = 0;
  std::unordered_map<std::string, State> states_;
};

}  // namespace fairlead
