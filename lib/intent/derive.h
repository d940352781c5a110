// Intent + what was observed (health, drains, neighbours) -> snapshot. Pure, so that `fairctl
// snapshot build` and the control plane cannot differ.
#pragma once

#include <functional>

#include "lib/intent/model.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

struct ObservedBackend {
  uint32_t id = 0;      // stable
  bool healthy = true;  // by its check; true where there is none
  bool draining = false;
  bool released = false;  // drain deadline passed: remaining flows go to the current owners
  std::optional<SnapshotNextHop> next_hop;
};

struct Observations {
  std::function<uint32_t(const ServiceSpec&)> service_id;
  std::function<ObservedBackend(const ServiceSpec&, const BackendSpec&)> backend;
};

// Fail-open: when no backend of a service that is not draining is healthy and the service fails
// open, the unhealthy ones are published as active.
SnapshotInput DeriveSnapshot(const IntentSpec& intent, uint64_t generation,
                             const Observations& observations);

// Everything healthy, nothing draining, ids proposed in sorted order, next hops from `mac` fields.
Observations OfflineObservations(const IntentSpec& intent);

}  // namespace fairlead
