// The drains of all backends: keeps one DrainMachine for each drain that runs, feeds it with what
// the dataplane confirms and counts, and stores its end. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/core/registry.h"
#include "controlplane/observe/drain/drain_machine.h"
#include "lib/link/stats.h"

namespace fairlead {

// How the reason of a drain ends whose flows go on behind its deadline (on_deadline: keep).
inline constexpr std::string_view kFlowsKept = "; flows that remain are kept";

class Drains {
 public:
  Drains(Registry* registry, const Clock* clock) : registry_(registry), clock_(clock) {}

  // Takes up drains that run according to the registry, and forgets those that do not any more.
  void Sync();

  // Starts a drain, or moves the deadline of one that runs (counted from its start). A drain that
  // is over stays as it is. Returns the generation that holds it.
  Result<uint64_t> Start(BackendRuntime* backend, std::optional<uint32_t> timeout_ms);
  Result<uint64_t> Undrain(BackendRuntime* backend);

  void OnInForce(uint64_t generation);
  void OnDisconnect();
  // `asked_at`: when the statistics were asked for, so that a count is never taken as younger than
  // it is.
  void OnStats(const DataplaneStats& stats, SteadyTime asked_at);
  // Ends what is over.
  void Tick();

  bool any_running() const { return !running_.empty(); }
  // Flows that remain, where that is known; 0 for a drain that ended without flows.
  std::optional<uint64_t> Remaining(const BackendRuntime& backend) const;
  // Until when (wall time) flows may live that Remaining does not count, since they have sent nothing
  // yet. Nothing when it counts all.
  std::optional<int64_t> UnseenUntilMs(const BackendRuntime& backend) const;

 private:
  SteadyTime ToSteady(int64_t wall_ms) const;

  Registry* registry_;
  const Clock* clock_;
  std::map<uint32_t, DrainMachine> running_;  // by backend id
  std::string not_stored_;                    // why the last end could not be stored
};

}  // namespace fairlead
