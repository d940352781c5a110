// The controller of drains: keeps one DrainMachine for each drain that the intent asks for and that
// has not ended, feeds it with what the dataplane confirms and counts, and tells the board how far it
// is. It is the writer of StatusBoard's drain progress. One thread (the executor's).
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

class Drains {
 public:
  // `on_deadline`: the deadline of some drain has come, and Reconcile() should be called.
  Drains(boost::asio::any_io_executor executor, StatusBoard* board, const Clock* clock,
         std::function<void()> on_deadline);

  // Takes up the drains that `view` asks for and forgets others, hears what is in force, and ends
  // what is over.
  void Reconcile(const IntentView& view);
  // `asked_at`: when the statistics were asked for, so that a count is never taken as younger than
  // it is.
  void OnStats(const DataplaneStats& stats, SteadyTime asked_at);
  void Stop() { timer_.cancel(); }

 private:
  void Follow(const ServiceIntent* service, const BackendIntent& backend);
  void HearDataplane();
  // Tells the board, and forgets what is over.
  void Report();
  void SetTimer();
  SteadyTime ToSteady(int64_t wall_ms) const;

  StatusBoard* board_;
  const Clock* clock_;
  std::function<void()> on_deadline_;
  boost::asio::steady_timer timer_;
  IntentView view_;
  uint64_t session_ = 0;
  std::map<uint32_t, DrainMachine> running_;  // by backend id
  std::map<uint32_t, bool> keeps_flows_;      // of the running ones: on_deadline is keep
};

// Until when (wall time) flows may live that the progress does not count, since they have sent nothing
// yet. Nothing when it counts all.
std::optional<int64_t> UnseenUntilMs(const ServiceSpec& settings, const BackendIntent& backend,
                                     const DrainProgress& progress);

}  // namespace fairlead
