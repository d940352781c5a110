// Intent + status -> the snapshot's image. Keeps what it made of each service, and makes anew only what
// changed: a service whose settings or list of backends changed, and else single backends. One thread.
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
#include "controlplane/core/status_board.h"
#include "lib/intent/derive.h"
#include "lib/snapshot/assembler.h"

namespace fairlead {

class SnapshotDeriver {
 public:
  SnapshotDeriver(const StatusBoard* board, const Clock* clock);

  // Takes up the present state. False: nothing that an image says has changed.
  bool Update(const IntentView& view);
  // Makes the image of what the last Update() took up. True: it says something else than before,
  // beside its generation.
  bool Assemble(uint64_t generation);
  // As of the last Assemble().
  std::span<const std::byte> image() const { return assembler_.image(); }
  SnapshotAssembler::Writes TakeWrites() { return assembler_.TakeWrites(); }
  // When the time of some unhealthy backend's kept flows (on_unhealthy: keep) runs out, and Update()
  // makes something else. Nothing: there is none.
  std::optional<SteadyTime> next_expiry() const;

 private:
  // What is to be made anew of a service.
  struct Work {
    bool whole = false;
    std::set<uint32_t> backends;  // else these, by id
  };
  using WorkByService = std::map<std::string, Work>;
  // Of a service that the assembler has.
  struct Derived {
    std::vector<bool> takes_new_flows;  // by place in ServiceIntent::backends
    size_t takers = 0;                  // of these
    bool ignores_health = false;
  };

  bool TakeUpGlobals(const Intent& view);
  void AddIntentWork(const Intent& view, WorkByService* work) const;
  void AddStatusWork(const Intent& view, WorkByService* work);
  void AddExpiryWork(SteadyTime now, WorkByService* work) const;
  void DeriveWhole(const ServiceIntent& service);
  // False: the whole service must be derived.
  bool DeriveBackendAlone(const ServiceIntent& service, uint32_t backend_id);
  ObservedBackend Observe(const ServiceIntent& service, const BackendIntent& backend);
  void SetExpiry(uint32_t backend_id, std::optional<SteadyTime> until);

  const StatusBoard* board_;
  const Clock* clock_;
  IntentView view_;
  SnapshotGlobals globals_;
  SnapshotAssembler assembler_;
  std::unordered_map<std::string, Derived> derived_;  // by service
  uint64_t next_change_ = 1;
  uint64_t global_changes_ = 0;
  OwnAddresses own_addresses_;
  bool incomplete_ = false;                             // a lack of memory ended the last Update()
  std::set<std::pair<SteadyTime, uint32_t>> expiries_;  // with the backend
  std::unordered_map<uint32_t, SteadyTime> expiry_of_;  // the same by backend
};

}  // namespace fairlead
