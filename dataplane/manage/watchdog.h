// Feeds the service manager's watchdog while all workers run. A worker runs if its loop has gone
// round since the last feed, also while it has nothing to do and sleeps between two polls. The
// management thread must run too: it calls Step().
//
// Management thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace fairlead {

class WorkerWatchdog {
 public:
  using Clock = std::chrono::steady_clock;

  struct Environment {
    std::chrono::microseconds timeout{};  // the service manager's; half of it is between two feeds
    size_t worker_count = 0;
    // A number that changes with each loop of the worker. 0: it has not begun.
    std::function<uint64_t(size_t worker)> loop_mark;
    std::function<void()> feed;
    // Called once when a worker has stood still for most of the timeout, with a sentence.
    std::function<void(const std::string& why)> warn;
  };
  WorkerWatchdog(Environment environment, Clock::time_point now);

  // Feeds if it is due and every worker has moved. Returns the milliseconds until the next call.
  int Step(Clock::time_point now);

 private:
  // The first worker that has not moved since the last feed. worker_count: all have.
  size_t FirstStill() const;

  Environment environment_;
  std::vector<uint64_t> marks_;  // at the last feed
  Clock::time_point fed_;
  bool warned_ = false;
};

}  // namespace fairlead
