// The controller of outliers. Keeps one OutlierDetector for each service with `outlier` other than
// off, gives it the dataplane's counts and what was observed of the backends, and writes the
// outliers to the board. It is the writer of StatusBoard's outlier facet. A restart of fairleadd
// ends all ejections. One thread (the executor's).
#pragma once

#include <functional>
#include <map>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/time.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"
#include "controlplane/observe/outliers/outlier_detector.h"
#include "lib/link/stats.h"

namespace fairlead {

class OutlierController {
 public:
  // `on_end`: called when an ejection ends. Reconcile() should be called then.
  OutlierController(boost::asio::any_io_executor executor, StatusBoard* board, const Clock* clock,
                    std::function<void()> on_end);

  // Follows changes of services and backends, and ends ejections. It runs before the Publisher, so
  // that a service never loses its last backend to an ejection.
  void Reconcile(const IntentView& view);
  // `asked_at`: when the statistics were asked for.
  void OnStats(const DataplaneStats& stats, SteadyTime asked_at);
  void Stop() { timer_.cancel(); }

 private:
  using Changes = std::vector<OutlierDetector::Change>;

  // The service's backends, without counts.
  std::vector<OutlierInput> InputsOf(const ServiceIntent& service) const;
  void UpdateService(const ServiceIntent& service);
  // The service is removed, or no longer asks for outliers.
  void Forget(const ServiceIntent& service);
  void Report(const Changes& changes);
  void SetTimer();

  StatusBoard* board_;
  const Clock* clock_;
  std::function<void()> trigger_reconcile_;
  boost::asio::steady_timer timer_;
  IntentView view_;
  uint64_t session_ = 0;
  std::map<std::string, OutlierDetector> detectors_;  // by service
};

}  // namespace fairlead
