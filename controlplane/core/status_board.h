// The status: what fairleadd observed, as opposed to the intent (intent.h). For each backend: its
// health, its next hop, the progress of its drain, and whether the dataplane leaves it out. Also
// this host's own addresses. Each facet has one writer, named at its setter. Anyone may read. The
// board holds enums and numbers; sentences are made where they are shown.
//
// Every change gets a number and is remembered for some time, so that a reader need not read the
// whole board (VisitChangesSince). `on_change` runs after each change. It must not use the board,
// but arrange that a controller does so later.
//
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/common/time.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/rules.h"
#include "controlplane/core/way.h"
#include "lib/counters/left_out.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

enum class HealthState : uint8_t { kInitial = 0, kHealthy = 1, kUnhealthy = 2 };

// The outcome of a check. The store contains these numbers, so they never change.
enum class CheckOutcome : uint8_t {
  kNone = 0,  // not yet checked
  kPassed = 1,
  kNoCheck = 2,   // the service has no check
  kNoPort = 3,    // neither the check, the backend nor a frontend names a port
  kTimedOut = 4,  // `detail`: the timeout in milliseconds
  kFailed = 5,    // `detail`: a number that the check's type defines
};

struct CheckResult {
  CheckOutcome outcome = CheckOutcome::kNone;
  int32_t detail = 0;
  uint16_t port = 0;      // that was checked; 0: none
  uint16_t failures = 0;  // in a row
  uint8_t type = 0;       // CheckType::number of the check
  // The frontend that was tried through the dataplane: 1 + its index in the service. 0: the check
  // was direct.
  uint16_t frontend = 0;
  // Of a check through the dataplane that failed: a direct probe of the backend passed.
  bool passes_directly = false;
  friend bool operator==(const CheckResult&, const CheckResult&) = default;
};

struct Health {
  HealthState state = HealthState::kInitial;
  int64_t since_ms = 0;  // wall time
  CheckResult verdict;   // the check result that led to the state
  friend bool operator==(const Health&, const Health&) = default;
};

// The last probe of a backend, whether or not it changed the backend's state.
struct LastProbe {
  int64_t at_ms = 0;  // wall time; 0: there was none
  CheckResult verdict;
  // Why later probes were not made; null: the last one was made.
  std::shared_ptr<const std::string> not_made = nullptr;
};

enum class DrainEnd : uint8_t {
  kNotYet = 0,
  kNoFlowsRemain = 1,
  kDeadlinePassed = 2,
  kNoRecords = 3,  // the service keeps no flow records
};

// The progress of the drain that the intent asks for.
struct DrainProgress {
  uint64_t drain_revision = 0;  // DrainIntent::revision of this drain; 0: there is no drain
  DrainEnd end = DrainEnd::kNotYet;
  bool flows_kept = false;  // flows remained at its end, and are kept (on_deadline: keep)
  int64_t finished_ms = 0;  // wall time; 0: it runs
  std::optional<uint64_t> remaining_flows = {};  // nullopt: not known
  bool unseen_flows = false;  // flows may live that `remaining_flows` does not count
  bool finished() const { return end != DrainEnd::kNotYet; }
  friend bool operator==(const DrainProgress&, const DrainProgress&) = default;
};

// A backend that leaves many more handshakes unanswered than the others of its service
// (outlier_detector.h).
struct OutlierStatus {
  bool is_outlier = false;
  std::chrono::seconds ejected_for{0};  // it gets no new flows for this long; 0: it is not ejected
  int64_t since_ms = 0;                 // wall time
  // What it was judged by.
  uint32_t sampled = 0;             // handshakes
  uint32_t unanswered_percent = 0;  // of these
  uint32_t median_percent = 0;      // of the service's backends
  bool is_ejected() const { return ejected_for.count() != 0; }
  friend bool operator==(const OutlierStatus&, const OutlierStatus&) = default;
};

struct BackendStatus {
  std::string service;
  Endpoint endpoint;
  Health health;
  SteadyTime health_since{};  // health.since_ms on the steady clock
  LastProbe probe;
  std::optional<SnapshotNextHop> next_hop;  // as resolved, or the specification's static one
  DrainProgress drain;
  // When the certificate of its server ends, in seconds since 1970; unset: none was seen. With
  // several checks, of the first that ends.
  std::optional<int64_t> certificate_not_after_s = {};
  OutlierStatus outlier;
  LeftOut left_out = LeftOut::kNo;  // as the dataplane last reported, or k_behind_gateway
};

enum class FrontendLeftOutReason : uint8_t {
  kOwnAddress = 0,      // it is an address of this host
  kNatAnyPort = 1,      // nat, for any port: allowed in release 0.1.0
  kOlderDataplane = 2,  // a port range, which a dataplane of release 0.1.0 does not support
};

// A frontend that the dataplane does not get.
struct LeftOutFrontend {
  std::string service;
  Frontend frontend;
  FrontendLeftOutReason reason = FrontendLeftOutReason::kOwnAddress;
  std::string owner = {};  // for kOwnAddress: where the address is configured, "interface eth0"
  friend auto operator<=>(const LeftOutFrontend&, const LeftOutFrontend&) = default;
};

// The link of one of the dataplane's ports, as last reported: at most about a second ago.
struct PortLink {
  std::string port;
  std::string interface;  // the kernel's name, else the port's
  bool is_up = false;
  int64_t since_ms = 0;     // wall time
  uint64_t changes = 0;     // of is_up, since the dataplane started
  uint32_t speed_mbps = 0;  // 0: not known, or the link is down
  friend bool operator==(const PortLink&, const PortLink&) = default;
};

// The dataplane that is connected, or the last one that was.
struct DataplaneStatus {
  bool connected = false;
  uint64_t session = 0;                  // counts connections
  uint64_t in_force_generation = 0;      // 0: none, or not known
  uint64_t in_force_revision = 0;        // of the intent in that generation
  std::vector<IpAddress> own_addresses;  // of its ports
  // Of the ports that have a network. Empty: not known, since it is not connected, has not reported
  // them yet, or is older.
  std::vector<PortLink> links = {};
  // What a dataplane of an older release does not support.
  std::vector<LeftOutFrontend> left_out_frontends = {};
  std::vector<std::string> services_without_reset = {};  // on_no_backend is reset, but it drops
  std::vector<std::string> services_without_handshakes = {};  // outlier is set, but has no effect
  // It takes health probes at present (OpenProbesMessage).
  bool probes_open = false;
  // Why the last one that was asked takes none; empty: it does.
  std::string no_probes = "no dataplane has been connected yet";
  // The link of the port with this interface. Null: not known.
  const PortLink* LinkOf(const std::string& interface) const;
  friend bool operator==(const DataplaneStatus&, const DataplaneStatus&) = default;
};

// What keeps verdicts of health checks from being accepted: this host is cut off.
struct IsolationStatus {
  struct LostWay {
    WayState state;
    int64_t since_ms = 0;  // wall time
    friend bool operator==(const LostWay&, const LostWay&) = default;
  };
  std::vector<LostWay> lost = {};  // empty: this host is not isolated
  // The last time at which half of all healthy endpoints failed while their ways were there.
  uint64_t failed_together_count = 0;  // how often that happened
  int64_t failed_together_ms = 0;      // wall time; 0: never
  size_t failed = 0;                   // endpoints
  size_t failed_of = 0;                // healthy endpoints before
  friend bool operator==(const IsolationStatus&, const IsolationStatus&) = default;
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

  // Which facet of a backend changed. kAdded and kRemoved: all facets. kFlows: the flow counts of a
  // running drain. kProbe: whether probes are made. The last two do not concern the dataplane.
  enum class Facet : uint8_t {
    kAdded,
    kRemoved,
    kHealth,
    kNextHop,
    kDrain,
    kLeftOut,
    kOutlier,
    kFlows,
    kProbe
  };
  struct Change {
    uint32_t backend_id;
    Facet facet;
  };

  // Sets the stored status of a backend that the next Follow() adds.
  void Restore(uint32_t backend_id, const StoredStatus& stored);
  // Adds and removes entries so that exactly the backends of `view` have one. A new backend waits
  // for its first check result.
  void Follow(const IntentView& view);

  // Of the last view given to Follow().
  uint64_t revision() const { return view_ == nullptr ? 0 : view_->revision; }

  const BackendStatus* Find(uint32_t backend_id) const;
  // REQUIRES that the board has the backend.
  const BackendStatus& At(uint32_t backend_id) const;
  // Calls visit(backend id) for all backends.
  template <typename Visit>
  void VisitBackends(Visit&& visit) const {
    for (const auto& [id, backend] : backends_) visit(id);
  }
  size_t size() const { return backends_.size(); }

  // Writer: HealthChecks. All setters ignore a backend that the board does not have.
  void SetHealth(uint32_t backend_id, HealthState state, const CheckResult& verdict);
  void SetProbe(uint32_t backend_id, const CheckResult& verdict);
  // REQUIRES that `reason` is not null.
  void SetProbeNotMade(uint32_t backend_id, std::shared_ptr<const std::string> reason);

  void SetCertificate(uint32_t backend_id, std::optional<int64_t> not_after_s);
  int64_t WallMs() const { return clock_->WallMs(); }

  // Writer: NextHopController. `waiting`: the clients' next hop may be found later.
  void SetNextHop(uint32_t backend_id, const std::optional<SnapshotNextHop>& next_hop);
  void SetClientNextHop(Family family, const std::optional<SnapshotNextHop>& next_hop,
                        bool waiting);
  const std::optional<SnapshotNextHop>& client_next_hop(Family family) const {
    return client_next_hops_[Index(family)].next_hop;
  }

  // Writer: NextHopController. Whether the backend's mode needs it on-link, but its route leads
  // through a gateway. Such a backend is left out, whatever the dataplane reports.
  void SetBehindGateway(uint32_t backend_id, bool behind_gateway);

  // Writer: Drains.
  void SetDrain(uint32_t backend_id, const DrainProgress& progress);
  size_t running_drains() const { return running_drains_; }

  // Writer: OutlierController.
  void SetOutlier(uint32_t backend_id, const OutlierStatus& outlier);

  // Writer: Publisher. The backends that the dataplane leaves out, by id, with the reason. Returns
  // the backends for which this changed.
  std::vector<uint32_t> SetLeftOut(const LeftOutBackends& left_out);
  bool dataplane_leaves_out() const { return !left_out_by_dataplane_.empty(); }
  // These, and those behind a gateway. All others are in use.
  const LeftOutBackends& left_out() const { return left_out_; }

  // Writer: Publisher.
  void SetDataplane(const DataplaneStatus& dataplane);
  const DataplaneStatus& dataplane() const { return dataplane_; }

  // Writer: FrontendController. Returns true if something changed.
  bool SetFrontends(OwnAddresses own, std::set<LeftOutFrontend> left_out);
  const OwnAddresses& own_addresses() const { return own_addresses_; }
  const std::set<LeftOutFrontend>& left_out_frontends() const { return left_out_frontends_; }
  // Calls visit(const LeftOutFrontend&) for these and for those left out for an older dataplane.
  template <typename Visit>
  void VisitLeftOutFrontends(Visit&& visit) const {
    for (const LeftOutFrontend& each : left_out_frontends_) visit(each);
    for (const LeftOutFrontend& each : dataplane_.left_out_frontends) visit(each);
  }

  // Writer: IsolationGuard.
  void SetIsolation(const IsolationStatus& isolation);
  const IsolationStatus& isolation() const { return isolation_; }

  // True if the status is complete: every backend has a check result and a next hop, and no next
  // hop of clients is awaited.
  bool complete() const { return incomplete_count_ == 0 && !clients_wait(); }

  // Counts changes of the status that belongs to no backend: own addresses, left-out frontends and
  // the clients' next hops.
  uint64_t global_changes() const { return global_changes_; }
  // The number of the next change.
  uint64_t next_change() const { return first_change_ + changes_.size(); }
  // Calls visit(const Change&) for the changes from number `from` on, oldest first. False: these
  // are no longer remembered, and everything may have changed.
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
  static bool IsIncomplete(const BackendStatus& backend) {
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
  // False: nothing changed.
  bool UpdateLeftOut(uint32_t backend_id);
  // Runs edit(backend), and keeps the counts of incomplete and draining backends right.
  template <typename Edit>
  void Update(BackendStatus* backend, Edit edit);

  const Clock* clock_;
  std::function<void()> on_change_;
  IntentView view_;
  std::unordered_map<uint32_t, BackendStatus> backends_;
  std::unordered_map<uint32_t, StoredStatus> stored_;
  ClientNextHop client_next_hops_[2];
  LeftOutBackends left_out_by_dataplane_;
  std::set<uint32_t> behind_gateway_;  // ids
  LeftOutBackends left_out_;           // of both
  OwnAddresses own_addresses_;
  std::set<LeftOutFrontend> left_out_frontends_;
  DataplaneStatus dataplane_;
  IsolationStatus isolation_;
  uint64_t global_changes_ = 0;
  size_t incomplete_count_ = 0;
  size_t running_drains_ = 0;
  std::deque<Change> changes_;
  uint64_t first_change_ = 1;  // number of changes_.front()
};

}  // namespace fairlead
