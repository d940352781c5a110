// Intent + status -> what the snapshot says. Keeps what it made of each service, and makes anew only
// those whose intent or status changed. One thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>

#include "controlplane/common/time.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"
#include "lib/intent/derive.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

class SnapshotDeriver {
 public:
  SnapshotDeriver(const StatusBoard* board, const Clock* clock);

  // Brings input() to the present state. False: nothing it is made of has changed.
  bool Update(const IntentView& view);
  // Without its generation.
  const SnapshotInput& input() const { return input_; }
  // When the time of some unhealthy backend's kept flows (on_unhealthy: keep) runs out, and Update()
  // makes something else. Nothing: there is none.
  std::optional<SteadyTime> next_expiry() const;

 private:
  void Derive(const ServiceIntent& service);
  ObservedBackend Observe(const ServiceIntent& service, const BackendIntent& backend);
  bool UpdateGlobals();
  std::set<std::string> ServicesThatChanged(const IntentView& view, bool all);

  const StatusBoard* board_;
  const Clock* clock_;
  IntentView view_;
  SnapshotInput input_;  // services by name
  uint64_t next_change_ = 1;
  uint64_t global_changes_ = 0;
  OwnAddresses own_addresses_;
  bool incomplete_ = false;  // a lack of memory ended the last Update()
  std::set<std::pair<SteadyTime, std::string>> expiries_;  // with the service
};

}  // namespace fairlead
