// The intent in memory and what is known of each backend: ids, health, drain, next hop. Every
// change of the intent goes the same way: a candidate intent is made, judged by the one validator,
// its changed services built as a snapshot to see that they can be published, committed to the
// store, and only then taken over here. A change that fails anywhere changes nothing.
//
// Nearly every change is of one service among a thousand. Beyond a copy, a comparison and the
// validator's look at what lies between services, which are cheap, only services that differ are
// worked on: their rules, their ids, their rows in the store, their entries here.
//
// One thread. Pointers to BackendRuntime stay valid until the backend is removed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/common/time.h"
#include "controlplane/core/store.h"
#include "controlplane/core/types.h"
#include "lib/counters/left_out.h"
#include "lib/intent/derive.h"
#include "lib/intent/model.h"

namespace fairlead {

struct BackendRuntime {
  uint32_t id = 0;
  std::string service;
  Endpoint endpoint;
  Health health;
  SteadyTime health_since{};  // health.since_ms by the clock that nobody sets
  std::optional<DrainRecord> drain;
  uint64_t drain_generation = 0;            // the first that holds the drain as it is
  std::optional<SnapshotNextHop> next_hop;  // as resolved, or the specification's static one
  LeftOut left_out = LeftOut::kNo;          // as the dataplane said last
};

struct ServiceRuntime {
  uint32_t id = 0;
  std::map<Endpoint, BackendRuntime> backends;
};

class Registry {
 public:
  Registry(Store* store, const Clock* clock) : store_(store), clock_(clock) {}

  // Takes the store's state up. REQUIRES an empty registry.
  Status Load();
  // Makes `intent` the first content of a store that was never configured.
  Status Import(const IntentSpec& intent);
  bool ever_configured() const { return intent_generation_ != 0; }

  const IntentSpec& intent() const { return intent_; }  // services by name, backends by endpoint
  uint64_t generation() const { return generation_; }
  size_t backend_count() const { return by_id_.size(); }
  // Of the last change that somebody was told is durable; random, 0 before the first.
  uint64_t change_id() const { return change_id_; }
  // Store::KnowsChange.
  Result<bool> KnowsChange(uint64_t id, uint64_t generation) const {
    return store_->KnowsChange(id, generation);
  }
  const std::map<std::string, ServiceRuntime>& services() const { return services_; }

  Result<const ServiceSpec*> FindService(const std::string& name) const;
  // What a person means by `endpoint` (FindBackend of lib/intent/model.h).
  Result<const BackendSpec*> FindBackendSpec(const std::string& service,
                                             const Endpoint& endpoint) const;
  const BackendSpec& SpecOf(const BackendRuntime& backend) const;
  BackendRuntime* FindRuntime(const std::string& service, const Endpoint& endpoint);
  const BackendRuntime* FindRuntime(const std::string& service, const Endpoint& endpoint) const;
  BackendRuntime* FindRuntime(uint32_t backend_id);

  // visit(service, backend specification, BackendRuntime&) for all backends, in their order. Without
  // a search for each, unlike FindRuntime: this is for what looks at a hundred thousand.
  template <typename Visit>
  void ForEachBackend(Visit&& visit) {
    Walk(intent_, &services_, visit);
  }
  template <typename Visit>
  void ForEachBackend(Visit&& visit) const {
    Walk(intent_, &services_, visit);
  }

  // Changes of the intent. Each returns the generation that holds it, after it is durable.
  Result<uint64_t> AddService(ServiceSpec service);
  Result<uint64_t> ReplaceService(ServiceSpec service);
  Result<uint64_t> RemoveService(const std::string& name);
  Result<uint64_t> AddBackends(const std::string& service, std::vector<BackendSpec> backends);
  // `backend.endpoint` names the one to replace.
  Result<uint64_t> UpdateBackend(const std::string& service, const BackendSpec& backend);
  Result<uint64_t> RemoveBackend(const std::string& service, const Endpoint& endpoint);
  // Another hash seed for all services; not 0. Of a store that was never configured it is the seed for
  // what comes, and configures nothing.
  Result<uint64_t> SetHashSeed(uint64_t seed);
  // Starts a drain, or changes or ends it.
  Result<uint64_t> PutDrain(BackendRuntime* backend, const DrainRecord& drain);
  Result<uint64_t> RemoveDrain(BackendRuntime* backend);

  // Where nat's replies to clients of that family go. Not stored.
  void SetClientNextHop(Family family, std::optional<SnapshotNextHop> next_hop);

  // This host's own addresses, each with whose it is ("interface eth0"). No frontend may have one: new
  // ones are refused, those that are there are in no snapshot. Not stored. Returns the frontends for
  // which that changed.
  using OwnAddresses = std::map<IpAddress, std::string>;
  struct OwnFrontend {
    std::string service;
    Frontend frontend;
    std::string owner;
    friend auto operator<=>(const OwnFrontend&, const OwnFrontend&) = default;
  };
  struct OwnFrontendsChange {
    std::vector<OwnFrontend> left_out;
    std::vector<OwnFrontend> back;  // or gone
  };
  OwnFrontendsChange SetOwnAddresses(OwnAddresses own);
  // Those that are in no snapshot for that reason.
  const std::set<OwnFrontend>& own_frontends() const { return own_frontends_; }

  // What was observed. Kept here at once, stored with the next Flush().
  void SetHealth(BackendRuntime* backend, HealthState state, std::string reason);

  // The dataplane's verdicts: the backends that it leaves out, by id, and why; all others are not.
  // Returns those whose verdict changed. Not stored.
  std::vector<const BackendRuntime*> SetLeftOut(const LeftOutBackends& left_out);
  const LeftOutBackends& left_out() const { return left_out_; }

  // Makes `generation` the present one when it is above it, and writes it with what was observed
  // since the last call. What cannot be written is kept, and written with the next call: a control
  // plane that ends before that lifts its generation above the dataplane's when they meet again.
  Status Flush(uint64_t generation);

  // True when the time of some unhealthy backend's kept flows (on_unhealthy: keep) has run out since
  // the last call: the snapshot differs.
  bool KeptFlowsRunOut();

  // Snapshot input of the present state. `generation` as the caller will publish it.
  SnapshotInput Derive(uint64_t generation) const;

  // The bytes of a store file with all that was acknowledged.
  Result<std::string> BackupStore() const { return store_->Backup(); }

  // Called after each change of the intent or of a drain.
  void OnChange(std::function<void()> callback) { on_change_ = std::move(callback); }

 private:
  using Ids = std::map<std::string, ServiceRuntime>;
  // Between intent_ and a candidate.
  struct Difference {
    IntentSpec changed;  // new services and those that differ, as the candidate has them
    std::vector<std::string> removed;  // services
  };

  // intent_ and services_ have the same services and backends in the same order.
  template <typename Services, typename Visit>
  static void Walk(const IntentSpec& intent, Services* services, Visit& visit) {
    auto service_runtime = services->begin();
    for (const ServiceSpec& service : intent.services) {
      DCHECK(service_runtime != services->end() && service_runtime->first == service.name);
      auto runtime = (service_runtime++)->second.backends.begin();
      for (const BackendSpec& spec : service.backends) {
        DCHECK(runtime->first == spec.endpoint);
        visit(service, spec, (runtime++)->second);
      }
    }
  }

  SnapshotInput DeriveFrom(const IntentSpec& intent, const Ids& services,
                           uint64_t generation) const;
  // What is asked of a service that is new, or other than `present` (may be null), beyond
  // ValidateServiceAt.
  Status JudgeNew(const ServiceSpec& service, const ServiceSpec* present,
                  const std::string& path) const;
  Status JudgeOwnAddresses(const ServiceSpec& service, const ServiceSpec* present,
                           const std::string& path) const;
  // ValidateIntent, without what was judged before.
  Status Judge(const IntentSpec& candidate) const;
  // REQUIRES a sorted candidate.
  Difference Compare(const IntentSpec& candidate) const;
  // Of the services in `changed` alone; ids that are in use here stay theirs.
  Ids AssignIds(const IntentSpec& changed) const;
  Result<uint64_t> Apply(IntentSpec candidate);
  Status StoreDifference(Store::Transaction* transaction, const Difference& difference,
                         const Ids& services) const;
  void TakeOver(IntentSpec candidate, const Difference& difference, Ids services,
                uint64_t generation);
  void TakeOverService(const std::string& name, ServiceRuntime service);
  void Committed(uint64_t generation) { generation_ = stored_generation_ = generation; }
  // Of a change by a person: the next generation, under a new id, is on the disk when this returns.
  Status CommitChange(Store::Transaction* transaction);
  // Before the service is removed or replaced, and afterwards.
  void Unindex(const ServiceRuntime& service);
  void Index(ServiceRuntime* service);
  ServiceSpec* Find(IntentSpec* intent, const std::string& name) const;

  Store* store_;
  const Clock* clock_;
  IntentSpec intent_;
  Ids services_;
  std::unordered_map<uint32_t, BackendRuntime*> by_id_;
  std::optional<SnapshotNextHop> client_next_hop_v4_;
  std::optional<SnapshotNextHop> client_next_hop_v6_;
  std::set<uint32_t> unsaved_health_;
  LeftOutBackends left_out_;
  OwnAddresses own_addresses_;
  std::set<OwnFrontend> own_frontends_;
  SteadyTime kept_judged_{};
  uint64_t generation_ = 0;
  uint64_t change_id_ = 0;
  uint64_t stored_generation_ = 0;
  uint64_t intent_generation_ = 0;
  std::function<void()> on_change_;
};

}  // namespace fairlead
