// Intent + what was observed (health, drains, neighbours) -> snapshot. Pure, so that `fairctl
// snapshot build` and the control plane cannot differ.
#pragma once

#include <functional>
#include <span>

#include "lib/intent/model.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

struct ObservedBackend {
  uint32_t id = 0;      // stable
  bool healthy = true;  // by its check; true where there is none
  bool draining = false;
  bool released = false;  // it is over: what flows remain go to the current owners
  bool kept = false;      // not healthy, but what flows it has are kept for now
  bool usable = true;     // false: the dataplane leaves it out
  std::optional<SnapshotNextHop> next_hop;
};

struct Observations {
  std::function<uint32_t(const ServiceSpec&)> service_id;
  std::function<ObservedBackend(const ServiceSpec&, const BackendSpec&)> backend;
  // False: it is left out of the snapshot, which is all the same a service's without any. Empty: all.
  std::function<bool(const Frontend&)> usable = {};
  std::optional<SnapshotNextHop> client_next_hop_v4 = {};  // where nat's replies go
  std::optional<SnapshotNextHop> client_next_hop_v6 = {};
};

// True when it is a nat service with frontends of `family`: its replies need a way to clients.
bool ServiceNeedsClientNextHop(const ServiceSpec& settings, Family family);

// The snapshot's part for one service. `backends` are those of the service, in their order, each with
// what was observed of it; `settings.backends` is not looked at. States and fail-open as of
// DeriveSnapshot. Frontends that are not allowed any more (IsStillAllowed) are left out.
struct BackendToDerive {
  const BackendSpec* spec;
  ObservedBackend observed;
};
// It may get new flows, and its check is content with it.
bool TakesNewFlows(const BackendToDerive& backend);
// Fail-open, of a service with `takers` backends that take new flows.
bool IgnoresHealth(const ServiceSpec& settings, size_t takers);
SnapshotBackend DeriveBackend(const ServiceSpec& settings, const BackendToDerive& backend,
                              bool ignore_health);
SnapshotService DeriveService(const ServiceSpec& settings, uint32_t service_id,
                              std::span<const BackendToDerive> backends,
                              const std::function<bool(const Frontend&)>& usable);

// States: healthy -> active; unhealthy -> down, or draining while kept; draining -> draining, and
// down once released.
// Fail-open: when no backend that may get new flows (not draining, weight above 0, usable) is healthy
// and the service fails open, health is ignored: the unhealthy ones are published as active (or
// draining), with their weights. A static `mac` goes before an observed next hop; the interface is
// the observed one's, where there is one. The clients' next hops are left out where no service needs
// them.
// REQUIRES a valid intent, and ids that are unique over it.
SnapshotInput DeriveSnapshot(const IntentSpec& intent, uint64_t generation,
                             const Observations& observations);

// Everything healthy, nothing draining, ids proposed in sorted order, next hops from `mac` fields.
// Answers for the services and backends of `intent` only; keeps no reference to it.
Observations OfflineObservations(const IntentSpec& intent);

}  // namespace fairlead
