// Derives the snapshot's image from intent and status. Keeps the results of each service, and
// derives again only what changed: a whole service if its settings or its list of backends changed,
// otherwise single backends. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "controlplane/common/time.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/service_states.h"
#include "controlplane/core/status_board.h"
#include "lib/intent/derive.h"
#include "lib/snapshot/assembler.h"

namespace fairlead {

class SnapshotDeriver {
 public:
  // Calls services->Update(), so that health and service states in an image belong together.
  SnapshotDeriver(const StatusBoard* board, const Clock* clock, ServiceStates* services);

  // Derives what changed. False: the image stays the same.
  bool Update(const IntentView& view);
  // Makes the image from the results of the last Update(). True: the image differs from the
  // previous one, apart from its generation.
  bool Assemble(uint64_t generation);
  // The image of the last Assemble().
  std::span<const std::byte> image() const { return assembler_.image(); }
  SnapshotAssembler::Writes TakeWrites() { return assembler_.TakeWrites(); }
  // The next time at which the kept flows of an unhealthy backend (on_unhealthy: keep) expire, or a
  // backend climbs a step (slow_start). Update() must be called then. nullopt: there is none.
  std::optional<SteadyTime> next_expiry() const;

 private:
  // What must be derived again for a service.
  struct Work {
    bool whole = false;
    std::set<uint32_t> backends;  // if not whole: these, by id
  };
  using WorkByService = std::map<std::string, Work>;
  // The results for a service that the assembler has.
  struct Derived {
    std::vector<bool> takes_new_flows;  // by index in ServiceIntent::backends
    size_t taking_count = 0;            // how many of these are true
    BackendUse use = BackendUse::kHealthy;
    bool climbs = false;  // a backend has not its whole weight yet
  };

  bool UpdateGlobals(const Intent& view);
  void AddIntentWork(const Intent& view, WorkByService* work) const;
  void AddStatusWork(const Intent& view, WorkByService* work);
  void AddServiceWork(WorkByService* work);
  void AddExpiryWork(SteadyTime now, WorkByService* work) const;
  void DeriveWhole(const ServiceIntent& service);
  // False: the whole service must be derived.
  bool DeriveBackendAlone(const ServiceIntent& service, uint32_t backend_id);
  ObservedBackend Observe(const ServiceIntent& service, const BackendIntent& backend);
  void SetExpiry(uint32_t backend_id, std::optional<SteadyTime> until);

  const StatusBoard* board_;
  const Clock* clock_;
  ServiceStates* services_;
  IntentView view_;
  SnapshotGlobals globals_;
  SnapshotAssembler assembler_;
  std::unordered_map<std::string, Derived> derived_;  // by service
  uint64_t next_change_ = 1;
  uint64_t service_changes_ = 0;  // ServiceStates::changes() at the last Update()
  uint64_t global_changes_ = 0;
  OwnAddresses own_addresses_;
  bool incomplete_ = false;                             // the last Update() ran out of memory
  std::set<std::pair<SteadyTime, uint32_t>> expiries_;  // with the backend's id
  std::unordered_map<uint32_t, SteadyTime> expiry_of_;  // the same by backend
  std::map<std::string, SteadyTime> steps_;  // the next step of services whose backends climb
  SteadyTime now_{};                         // of the present Update(): decides steps
};

}  // namespace fairlead
