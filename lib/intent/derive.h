// Derives a snapshot from the intent and from what was observed: health, drains, neighbours. Pure,
// so that `fairctl snapshot build` and the control plane get the same result.
#pragma once

#include <functional>
#include <span>

#include "lib/intent/model.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

struct ObservedBackend {
  uint32_t id = 0;      // stable
  bool healthy = true;  // by its check; true if there is none
  bool draining = false;
  bool released = false;   // its drain is over: its remaining flows go to the current owners
  bool kept = false;       // not healthy, but it keeps its flows for now
  bool usable = true;      // false: the dataplane leaves it out
  uint32_t percent = 100;  // of its weight: it climbs (slow_start.h)
  std::optional<SnapshotNextHop> next_hop;
};

struct Observations {
  std::function<uint32_t(const ServiceSpec&)> service_id;
  std::function<ObservedBackend(const ServiceSpec&, const BackendSpec&)> backend;
  // False: the frontend is left out of the snapshot. A service may then have no frontend. Empty:
  // all frontends are usable.
  std::function<bool(const Frontend&)> usable = {};
  std::optional<SnapshotNextHop> client_next_hop_v4 = {};  // for nat's replies
  std::optional<SnapshotNextHop> client_next_hop_v6 = {};
};

// True for a nat service with frontends of `family`: its replies need a next hop towards clients.
bool ServiceNeedsClientNextHop(const ServiceSpec& settings, Family family);

// A backend and what was observed of it.
struct BackendToDerive {
  const BackendSpec* spec;
  ObservedBackend observed;
};
// True if it is healthy and may get new flows.
bool TakesNewFlows(const BackendToDerive& backend);

// Which backends of a service get new flows.
enum class BackendUse : uint8_t {
  kHealthy,
  kAll,   // health is ignored: the service is down and fails open
  kNone,  // the service is below its min_healthy and fails closed
};
std::string_view BackendUseName(BackendUse use);  // "healthy", "all", "none"
// Of a service with `available` backends that take new flows. `below`: IsBelowMinHealthy().
BackendUse UseOfBackends(const ServiceSpec& settings, size_t available, bool below);

// `factor`: SlowStartFactor() if a backend of the service climbs, else 1.
SnapshotBackend DeriveBackend(const ServiceSpec& settings, const BackendToDerive& backend,
                              BackendUse use, uint32_t factor = 1);
// The snapshot's part for one service. `backends` are those of the service, in their order;
// `settings.backends` is not used. States and fail-open are as for DeriveSnapshot. Frontends that
// are no longer allowed (IsStillAllowed) are left out.
SnapshotService DeriveService(const ServiceSpec& settings, uint32_t service_id,
                              std::span<const BackendToDerive> backends, bool below_min_healthy,
                              const std::function<bool(const Frontend&)>& usable);

// States: healthy -> active; unhealthy -> down, or draining while kept; draining -> draining, and
// down once released.
//
// A service is down if no backend that may get new flows (not draining, weight above 0, usable) is
// healthy, or if fewer than min_healthy are. If it fails open, health is then ignored: unhealthy
// backends are published as active (or draining), with their weights. If it fails closed, healthy
// backends are published as draining: their flows stay, new flows get on_no_backend.
// DeriveSnapshot itself takes no service for one below its min_healthy, since that depends on the
// past.
//
// Next hops: a static `mac` has priority over an observed next hop. The interface is the observed
// one, if there is one. The clients' next hops are left out if no service needs them.
//
// REQUIRES a valid intent, and ids that are unique over it.
SnapshotInput DeriveSnapshot(const IntentSpec& intent, uint64_t generation,
                             const Observations& observations);

// Observations without observing: every backend is healthy, none is draining, ids are proposed in
// sorted order, next hops come from `mac` fields. Valid only for the services and backends of
// `intent`. Keeps no reference to it.
Observations OfflineObservations(const IntentSpec& intent);

}  // namespace fairlead
