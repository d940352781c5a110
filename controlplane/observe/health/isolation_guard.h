// Keeps the backends' states while this host is cut off from them. HealthChecks asks it before a
// failure makes a healthy backend unhealthy (WhyHeld). It looks at the way to the backend, and
// FailingTogether decides. While a way is lost, no failed probe of a backend behind it counts
// (WhyNoWay), and the way is looked at again until it is back.
//
// Writer of StatusBoard's isolation. One thread (the executor's).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/event.h"
#include "controlplane/common/time.h"
#include "controlplane/core/status_board.h"
#include "controlplane/observe/health/failing_together.h"

namespace fairlead {

class IsolationGuard {
 public:
  struct Parts {
    StatusBoard* board;
    const Clock* clock;
    std::function<boost::asio::awaitable<WayState>(IpAddress endpoint)> look;  // WayLook::Look
    std::function<WayState(const IpAddress& endpoint)> find;                   // WayLook::Find
    std::function<size_t()> healthy_endpoints;
    std::chrono::milliseconds period{200};  // between two looks at a way
  };

  IsolationGuard(boost::asio::any_io_executor executor, Parts parts);

  void Start();
  void Stop();

  // A healthy endpoint would become unhealthy now. Why it must not; empty: it is accepted. Returns
  // after the way was looked at, and after `window` at most.
  boost::asio::awaitable<std::string> WhyHeld(IpAddress endpoint, std::chrono::milliseconds window);
  // A probe of a healthy endpoint failed and does not count, because the route or the carrier is
  // missing.
  void OnNoWay(const IpAddress& endpoint, std::chrono::milliseconds window);
  // Why no failed probe of the endpoint counts now: its way is lost. Empty: they count.
  std::string WhyNoWay(const IpAddress& endpoint) const;

 private:
  boost::asio::awaitable<void> WatchLoop();
  // Logs what is new, and writes it to the board.
  void Take(const FailingTogether::Answer& answer);
  void Remember(const IpAddress& endpoint, const WayState& state);
  void UpdateBoard();

  struct Seen {
    IpAddress endpoint;  // one that is reached this way
    WayState state;      // at the last look that found the way lost
    int64_t since_ms = 0;
  };

  boost::asio::any_io_executor executor_;
  Parts parts_;
  FailingTogether together_;
  std::map<WayKey, Seen> seen_;  // of ways that were found lost
  IsolationStatus status_;
  Event wake_;
  bool stopped_ = false;
};

}  // namespace fairlead
