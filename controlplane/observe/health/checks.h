// The controller of health checks. A direct check is one per (type, address, port, parameters), and
// backends of several services can share it. Through the dataplane there is one check per frontend
// and backend (check_plan.h). The check types are in lib/intent/checks/ and probers.h.
// This controller is the writer of StatusBoard's health and probes.
//
// A check says nothing about a backend that this host cannot reach at present: while the dataplane
// is away, and while the route's interface has no carrier or there is no route. Then no check is
// made, the backends keep their states, and the status says why. Afterwards the first failure of
// each check does not count.
//
// A failure that would make a healthy backend unhealthy is first put to IsolationGuard, which may
// hold it.
//
// A check ends with its last backend. The answer of a probe that is still running is then ignored,
// so it cannot revive a removed backend. One thread (the executor's).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/time.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"
#include "controlplane/observe/health/certificate_watch.h"
#include "controlplane/observe/health/check_machine.h"
#include "controlplane/observe/health/check_plan.h"
#include "controlplane/observe/health/isolation_guard.h"
#include "controlplane/observe/health/probe_path.h"
#include "controlplane/observe/health/probers.h"

namespace fairlead {

// Why this host cannot reach an address: "port wan has no link". Empty: it can, as far as it knows.
using NoWay = std::function<std::string(const IpAddress& address)>;

class HealthChecks {
 public:
  // `path`: for checks through the dataplane; null: all checks are direct.
  HealthChecks(boost::asio::any_io_executor executor, StatusBoard* board, Probers probers,
               NoWay no_way, ProbePath* path = nullptr, IsolationGuard* guard = nullptr);
  ~HealthChecks();

  // Starts the checks that `view` asks for, and ends all others. The cost depends on the
  // differences from the view of the last call.
  void Reconcile(const IntentView& view);
  void Stop();
  size_t check_count() const { return checks_.size(); }
  // Why the service's checks are direct although it did not ask for that; empty: they are not, or
  // it did.
  std::string WhyChecksAreDirect(const ServiceSpec& service) const;
  // How many addresses have a check that passes.
  size_t healthy_endpoints() const;

 private:
  struct Check;
  struct Plan;
  using ChecksToReport = std::set<std::shared_ptr<Check>>;

  // Attaches the backend to the checks that its service asks for, and detaches it from others.
  // `service` null: the backend is gone. Adds the backend's checks to `touched`.
  void Follow(const ServiceIntent* service, const BackendIntent& backend, ChecksToReport* touched);
  void Detach(uint32_t backend_id, const std::vector<CheckKey>& wanted);
  // `several`: the backend has more than one check.
  void Attach(uint32_t backend_id, const CheckKey& key, bool several, ChecksToReport* touched);
  boost::asio::awaitable<void> Run(std::shared_ptr<Check> check);
  // True if the dataplane does not have what the check needs in force yet: the check's timer is set.
  bool AwaitsDataplane(Check* check);
  // Makes one probe, direct or as the check's key says.
  boost::asio::awaitable<ProbeAnswer> Probe(CheckKey key);
  // Finds out whether the backend of a check that has failed through the dataplane answers a direct
  // probe, and adds that to the verdict.
  boost::asio::awaitable<void> ProbeDirectly(std::shared_ptr<Check> check);
  // Follows the services whose checks may take another path now.
  void FollowPath(ChecksToReport* touched);
  std::string WhyNotThroughDataplane(Family family) const;
  // Why the check's failed probe says nothing about the backend. Empty: it counts.
  boost::asio::awaitable<std::string> WhyNotCounted(std::shared_ptr<Check> check, bool was_made);
  // True if the dataplane was connected, and is not at present.
  bool DataplaneIsAway();
  // Counts a probe that was not made, and logs the count at most once a minute.
  void ProbeSkipped(const Check& check, const std::string& reason);
  // Sets the health of the check's backends, unless the check has no result yet.
  void Report(const Check& check);
  // Sets the health of a backend with several checks: unhealthy if one check is, healthy if all
  // are. In other cases the health stays as it is.
  void AssignFromSeveral(uint32_t backend_id, const Plan& plan);
  void Assign(uint32_t backend_id, HealthState state, const CheckResult& verdict);

  // Reports the end of the first certificate of the backend's checks.
  void ReportCertificate(uint32_t backend_id);

  boost::asio::any_io_executor executor_;
  StatusBoard* board_;
  CertificateWatch certificates_;
  Probers probers_;
  NoWay no_way_;
  ProbePath* path_;
  std::map<Family, std::string> no_path_;  // WhyNotThroughDataplane, as the checks follow it
  IsolationGuard* guard_;                  // null: every failure is accepted
  bool dataplane_was_connected_ = false;
  bool dataplane_is_away_ = false;
  IntentView view_;
  uint64_t following_revision_ = 0;  // of the view that Reconcile() is following
  uint32_t new_checks_ = 0;          // that the last Reconcile() began
  std::map<CheckKey, std::shared_ptr<Check>> checks_;
  std::unordered_map<uint32_t, Plan> plans_;  // by backend id
  SteadyTime skipped_logged_at_{};
  uint64_t skipped_ = 0;  // probes since skipped_logged_at_
};

}  // namespace fairlead
