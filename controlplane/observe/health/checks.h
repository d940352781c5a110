// The controller of health: runs the checks, one per (type, address, port, parameters), however many
// backends of however many services share it. Types are in lib/intent/checks/ and probers.h. It is the writer of StatusBoard's health and probes.
//
// A check ends with its last backend, so no probe that is still under way can revive a backend that
// was removed: its answer finds no check. One thread (the executor's).
#pragma once

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
#include "controlplane/observe/health/probers.h"

namespace fairlead {

// What a shared check has in common.
struct CheckKey {
  const CheckType* type = nullptr;
  IpAddress address;
  uint16_t port = 0;  // to probe; 0: none is needed
  uint32_t interval_ms = 0;
  uint32_t timeout_ms = 0;
  uint32_t rise = 0;
  uint32_t fall = 0;
  CheckSettings settings = {};  // the type's own
  friend auto operator<=>(const CheckKey&, const CheckKey&) = default;
};

class HealthChecks {
 public:
  HealthChecks(boost::asio::any_io_executor executor, StatusBoard* board, Probers probers);
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
  Probers probers_;
  IntentView view_;
  std::map<CheckKey, std::shared_ptr<Check>> checks_;
  std::unordered_map<uint32_t, Plan> plans_;  // by backend id
  SteadyTime skipped_told_{};
  uint64_t skipped_ = 0;  // since it was told of
};

}  // namespace fairlead
