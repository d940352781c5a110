// The controller of health: runs the TCP checks, one per (address, port, parameters), however many
// backends of however many services share it. It is the writer of StatusBoard's health and probes.
//
// A check ends with its last backend, so no probe that is still under way can revive a backend that
// was removed: its answer finds no check. One thread (the executor's).
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
#include "controlplane/observe/health/check_machine.h"

namespace fairlead {

struct CheckKey {
  IpAddress address;
  uint16_t port = 0;  // the one to connect to
  uint32_t interval_ms = 0;
  uint32_t timeout_ms = 0;
  uint32_t rise = 0;
  uint32_t fall = 0;
  friend auto operator<=>(const CheckKey&, const CheckKey&) = default;
};

// The ports that `service` checks `backend` on: the check's, else the backend's, else the first
// frontend's that names one; with `ports: all` those of all TCP frontends. Of a range its first port
// is checked. Ascending; empty: there is none.
std::vector<uint16_t> CheckPorts(const ServiceSpec& service, const BackendSpec& backend);

struct ProbeAnswer {
  CheckOutcome outcome = CheckOutcome::kFailed;
  int32_t detail = 0;  // CheckVerdict
  // This host had no descriptor, port or memory for it, and this is why: that says nothing about the
  // backend. Empty: the probe was made.
  std::string skipped = {};
};

// One attempt; returns within `timeout`. Replaced in tests.
using Prober = std::function<boost::asio::awaitable<ProbeAnswer>(
    IpAddress address, uint16_t port, std::chrono::milliseconds timeout)>;
// `most_at_once`: attempts beyond so many are not made.
Prober TcpProber(size_t most_at_once);
// As many as leave descriptors for everything else that the process does, under its present limit.
size_t MostProbesAtOnce();

class HealthChecks {
 public:
  HealthChecks(boost::asio::any_io_executor executor, StatusBoard* board, Prober prober);
  ~HealthChecks();

  // Starts the checks that `view` asks for, and ends all others. Work for what differs from the view
  // of the last call.
  void Reconcile(const IntentView& view);
  void Stop();
  size_t check_count() const { return checks_.size(); }

 private:
  struct Check;
  struct Plan;
  using ChecksToJudge = std::set<std::shared_ptr<Check>>;

  // What is asked for a backend, begun or ended: null stands for a backend that is gone.
  void Follow(const ServiceIntent* service, const BackendIntent& backend, ChecksToJudge* touched);
  void Detach(uint32_t backend_id, const std::vector<CheckKey>& wanted);
  void Attach(uint32_t backend_id, const CheckKey& key, bool several, ChecksToJudge* touched);
  boost::asio::awaitable<void> Run(std::shared_ptr<Check> check);
  void ProbeSkipped(const std::string& reason);
  // Brings what the check says, where it says something, to its backends.
  void Report(const Check& check);
  // Brings what all checks of a backend say to the board: unhealthy where one of them is, healthy
  // where all are; else it stays as it is.
  void JudgeBySeveral(uint32_t backend_id, const Plan& plan);
  void Assign(uint32_t backend_id, HealthState state, const CheckVerdict& verdict);

  boost::asio::any_io_executor executor_;
  StatusBoard* board_;
  Prober prober_;
  IntentView view_;
  std::map<CheckKey, std::shared_ptr<Check>> checks_;
  std::unordered_map<uint32_t, Plan> plans_;  // by backend id
  SteadyTime skipped_told_{};
  uint64_t skipped_ = 0;  // since it was told of
};

}  // namespace fairlead
