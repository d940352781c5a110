// What was observed, beside what people want (intent.h): for each backend its health, its next hop,
// how far its drain is and what the dataplane says of it; and this host's own addresses. Each facet
// has one writer, named at its setter; everybody may read. Enumerations and numbers: sentences are
// made where they are shown.
//
// Every change gets a number and is remembered for a while, so that those who follow the board need
// not look at all of it (ChangedSince). After a change, `on_change` runs: it must not work on the board
// itself, but see that somebody does so later.
//
// One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/common/time.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/rules.h"
#include "lib/counters/left_out.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

enum class HealthState : uint8_t { kInitial = 0, kHealthy = 1, kUnhealthy = 2 };

// What a check found out. Stored: numbers stay what they are.
enum class CheckOutcome : uint8_t {
  kNone = 0,  // not yet checked
  kPassed = 1,
  kNoCheck = 2,   // the service has none
  kNoPort = 3,    // neither the check, the backend nor a frontend names a port
  kTimedOut = 4,  // `detail`: after so many milliseconds
  kFailed = 5,    // `detail`: a number of the check's type
};

struct CheckVerdict {
  CheckOutcome outcome = CheckOutcome::kNone;
  int32_t detail = 0;
  uint16_t port = 0;      // that was checked; 0: none
  uint16_t failures = 0;  // in a row
  uint8_t type = 0;       // CheckType::number of the check
  friend bool operator==(const CheckVerdict&, const CheckVerdict&) = default;
};

struct Health {
  HealthState state = HealthState::kInitial;
  int64_t since_ms = 0;  // wall time
  CheckVerdict verdict;  // that led to the state
  friend bool operator==(const Health&, const Health&) = default;
};

// The last probe of a backend, whether or not it changed its state.
struct LastProbe {
  int64_t at_ms = 0;  // wall time; 0: there was none
  CheckVerdict verdict;
};

enum class DrainEnd : uint8_t {
  kNotYet = 0,
  kNoFlowsRemain = 1,
  kDeadlinePassed = 2,
  kNoRecords = 3,  // the service keeps no flow records
};

// How far the drain is that the intent asks for.
struct DrainProgress {
  uint64_t drain_revision = 0;  // DrainIntent::revision of the drain that this is about; 0: none
  DrainEnd end = DrainEnd::kNotYet;
  bool flows_kept = false;  // flows remained at its end, and are kept (on_deadline: keep)
  int64_t finished_ms = 0;  // wall time; 0: it runs
  std::optional<uint64_t> remaining_flows = {};  // where that is known
  bool unseen_flows = false;  // flows may live that `remaining_flows` does not count
  bool finished() const { return end != DrainEnd::kNotYet; }
  friend bool operator==(const DrainProgress&, const DrainProgress&) = default;
};

struct BackendStatus {
  std::string service;
  Endpoint endpoint;
  Health health;
  SteadyTime health_since{};  // health.since_ms by the clock that nobody sets
  LastProbe probe;
  std::optional<SnapshotNextHop> next_hop;  // as resolved, or the specification's static one
  DrainProgress drain;
  LeftOut left_out = LeftOut::kNo;  // as the dataplane said last
};

enum class FrontendHindrance : uint8_t {
  kOwnAddress = 0,      // it is an address of this host
  kNatAnyPort = 1,      // nat, for any port: allowed in release 0.1.0
  kOlderDataplane = 2,  // a range of ports, which a dataplane of release 0.1.0 does not know
};

// A frontend that the dataplane does not get.
struct LeftOutFrontend {
  std::string service;
  Frontend frontend;
  FrontendHindrance hindrance = FrontendHindrance::kOwnAddress;
  std::string owner = {};  // of an own address: "interface eth0"
  friend auto operator<=>(const LeftOutFrontend&, const LeftOutFrontend&) = default;
};

// The dataplane that is connected, or was last.
struct DataplaneStatus {
  bool connected = false;
  uint64_t session = 0;                  // counts connections
  uint64_t in_force_generation = 0;      // 0: none, or not known
  uint64_t in_force_revision = 0;        // of the intent that it was made of
  std::vector<IpAddress> own_addresses;  // of its ports
  // Of an older release: what it does not know.
  std::vector<LeftOutFrontend> left_out_frontends = {};
  std::vector<std::string> services_without_reset = {};  // with on_no_backend reset: it drops
  friend bool operator==(const DataplaneStatus&, const DataplaneStatus&) = default;
};

// What an earlier process observed of a backend.
struct StoredStatus {
  Health health = {};
  DrainProgress drain = {};
};

class StatusBoard {
 public:
  StatusBoard(const Clock* clock, std::function<void()> on_change)
      : clock_(clock), on_change_(std::move(on_change)) {}

  // Which facet of a backend changed; kAdded and kRemoved: all of it; kFlows: what is known of the
  // flows of a drain that runs.
  enum class Facet : uint8_t { kAdded, kRemoved, kHealth, kNextHop, kDrain, kFlows, kLeftOut };
  struct Change {
    uint32_t backend_id;
    Facet facet;
  };

  // Takes up what was stored of a backend that Follow() brings next.
  void Restore(uint32_t backend_id, const StoredStatus& stored);
  // Entries for the backends of `view`, and for no others. A new one waits for its first verdict.
  void Follow(const IntentView& view);

  // Of the view that it follows.
  uint64_t revision() const { return view_ == nullptr ? 0 : view_->revision; }

  const BackendStatus* Find(uint32_t backend_id) const;
  // REQUIRES that Follow() has seen it.
  const BackendStatus& At(uint32_t backend_id) const;
  // visit(backend id) for all.
  template <typename Visit>
  void VisitBackends(Visit&& visit) const {
    for (const auto& [id, backend] : backends_) visit(id);
  }
  size_t size() const { return backends_.size(); }

  // The health checks'. A backend that is not there is ignored, as by all setters.
  void SetHealth(uint32_t backend_id, HealthState state, const CheckVerdict& verdict);
  void SetProbe(uint32_t backend_id, const CheckVerdict& verdict);

  // The neighbours'. `waiting`: a next hop of clients may yet come.
  void SetNextHop(uint32_t backend_id, const std::optional<SnapshotNextHop>& next_hop);
  void SetClientNextHop(Family family, const std::optional<SnapshotNextHop>& next_hop,
                        bool waiting);
  const std::optional<SnapshotNextHop>& client_next_hop(Family family) const {
    return client_next_hops_[Index(family)].next_hop;
  }

  // The drains'.
  void SetDrain(uint32_t backend_id, const DrainProgress& progress);
  size_t running_drains() const { return running_drains_; }

  // The dataplane's verdicts: the backends that it leaves out, by id, and why; all others are not.
  // Returns those whose verdict changed.
  std::vector<uint32_t> SetLeftOut(const LeftOutBackends& left_out);
  const LeftOutBackends& left_out() const { return left_out_; }

  // The publisher's.
  void SetDataplane(const DataplaneStatus& dataplane);
  const DataplaneStatus& dataplane() const { return dataplane_; }

  // The frontends' controller's. Returns true when they changed.
  bool SetFrontends(OwnAddresses own, std::set<LeftOutFrontend> left_out);
  const OwnAddresses& own_addresses() const { return own_addresses_; }
  const std::set<LeftOutFrontend>& left_out_frontends() const { return left_out_frontends_; }
  // Those, and what a dataplane of an older release does not get. visit(const LeftOutFrontend&).
  template <typename Visit>
  void VisitLeftOutFrontends(Visit&& visit) const {
    for (const LeftOutFrontend& each : left_out_frontends_) visit(each);
    for (const LeftOutFrontend& each : dataplane_.left_out_frontends) visit(each);
  }

  // True when nothing is still to come: every backend has a verdict and a next hop, or will not get
  // them soon.
  bool settled() const { return unsettled_ == 0 && !clients_wait(); }

  // Counts changes of what belongs to no backend: own addresses and the clients' next hops.
  uint64_t global_changes() const { return global_changes_; }
  // Numbers of changes: the next one gets `next_change()`.
  uint64_t next_change() const { return first_change_ + changes_.size(); }
  // What changed since the change `from` (inclusive), oldest first. Nothing: that is not remembered
  // any more, and all may have changed. visit(const Change&).
  template <typename Visit>
  bool VisitChangesSince(uint64_t from, Visit&& visit) const {
    if (from < first_change_) return false;
    for (size_t i = from - first_change_; i < changes_.size(); ++i) visit(changes_[i]);
    return true;
  }

 private:
  struct ClientNextHop {
    std::optional<SnapshotNextHop> next_hop;
    bool waiting = false;
  };

  static size_t Index(Family family) { return family == Family::kIpv4 ? 0 : 1; }
  static bool Unsettled(const BackendStatus& backend) {
    return backend.health.state == HealthState::kInitial || !backend.next_hop.has_value();
  }
  static bool DrainRuns(const BackendStatus& backend) {
    return backend.drain.drain_revision != 0 && !backend.drain.finished();
  }
  bool clients_wait() const { return client_next_hops_[0].waiting || client_next_hops_[1].waiting; }
  BackendStatus* Get(uint32_t backend_id);
  void Add(const ServiceIntent& service, const BackendIntent& backend);
  void Remove(const BackendIntent& backend);
  void Changed(uint32_t backend_id, Facet facet);
  // Keeps the counts of what is unsettled and drains.
  template <typename Edit>
  void Update(BackendStatus* backend, Edit edit);

  const Clock* clock_;
  std::function<void()> on_change_;
  IntentView view_;
  std::unordered_map<uint32_t, BackendStatus> backends_;
  std::unordered_map<uint32_t, StoredStatus> stored_;
  ClientNextHop client_next_hops_[2];
  LeftOutBackends left_out_;
  OwnAddresses own_addresses_;
  std::set<LeftOutFrontend> left_out_frontends_;
  DataplaneStatus dataplane_;
  uint64_t global_changes_ = 0;
  size_t unsettled_ = 0;
  size_t running_drains_ = 0;
  std::deque<Change> changes_;
  uint64_t first_change_ = 1;  // number of changes_.front()
};

}  // namespace fairlead
