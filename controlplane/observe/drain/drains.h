// The controller of drains. Keeps one DrainMachine for each running drain of the intent, gives it
// the dataplane's confirmations and counts, and writes its progress to the board. It is the writer
// of StatusBoard's drain progress. One thread (the executor's).
#pragma once

#include <functional>
#include <map>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/time.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"
#include "controlplane/observe/drain/drain_machine.h"
#include "lib/link/stats.h"

namespace fairlead {

class DrainController {
 public:
  // `on_deadline`: called when a drain's deadline passes. Reconcile() should be called then.
  DrainController(boost::asio::any_io_executor executor, StatusBoard* board, const Clock* clock,
                  std::function<void()> on_deadline);

  // Starts the drains that `view` asks for, removes others, reads what the dataplane has in force,
  // and ends finished drains.
  void Reconcile(const IntentView& view);
  // `asked_at`: when the statistics were asked for. The counts may be older, so their age is
  // counted back from that time.
  void OnStats(const DataplaneStats& stats, SteadyTime asked_at);
  void Stop() { timer_.cancel(); }

 private:
  // The backend's drain, if the intent has one, runs or has ended as the intent says.
  void Follow(const ServiceIntent& service, const BackendIntent& backend);
  // The backend drains no more, or is gone.
  void Forget(const BackendIntent& backend);
  void UpdateFromDataplane();
  // Writes the progress to the board, and removes finished drains.
  void Report();
  void SetTimer();
  SteadyTime ToSteady(int64_t wall_ms) const;

  StatusBoard* board_;
  const Clock* clock_;
  std::function<void()> trigger_reconcile_;
  boost::asio::steady_timer timer_;
  IntentView view_;
  uint64_t session_ = 0;
  std::map<uint32_t, DrainMachine> running_;  // by backend id
  std::map<uint32_t, bool> keeps_flows_;      // of running drains: on_deadline is keep
};

// The wall time until which there may be live flows that the progress does not count, because they
// have sent nothing since the drain began. nullopt if it counts all flows.
std::optional<int64_t> UnseenUntilMs(const ServiceSpec& settings, const BackendIntent& backend,
                                     const DrainProgress& progress);

}  // namespace fairlead
