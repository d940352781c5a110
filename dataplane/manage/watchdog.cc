#include "dataplane/manage/watchdog.h"

#include <algorithm>
#include <utility>

namespace fairlead {
namespace {

// A worker that has not moved is looked at again after this time.
constexpr std::chrono::milliseconds kAgain{50};
constexpr std::chrono::milliseconds kLongestStep{1000};

}  // namespace

WorkerWatchdog::WorkerWatchdog(Environment environment, Clock::time_point now)
    : environment_(std::move(environment)), marks_(environment_.worker_count, 0), fed_(now) {}

size_t WorkerWatchdog::FirstStill() const {
  size_t worker = 0;
  while (worker < marks_.size() && environment_.loop_mark(worker) != marks_[worker]) ++worker;
  return worker;
}

int WorkerWatchdog::Step(Clock::time_point now) {
  const auto milliseconds = [](Clock::duration time) {
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(time);
    return static_cast<int>(
        std::clamp(rounded, std::chrono::milliseconds(0), kLongestStep).count());
  };
  const Clock::time_point due = fed_ + environment_.timeout / 2;
  if (now < due) return milliseconds(due - now);
  const size_t still = FirstStill();
  if (still == marks_.size()) {
    for (size_t i = 0; i < marks_.size(); ++i) marks_[i] = environment_.loop_mark(i);
    environment_.feed();
    fed_ = now;
    warned_ = false;
    return milliseconds(environment_.timeout / 2);
  }
  if (!warned_ && now >= fed_ + environment_.timeout * 3 / 4) {
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now - fed_);
    environment_.warn("worker " + std::to_string(still) + " has not polled its ports for " +
                      std::to_string(since.count()) +
                      " ms; the service manager will restart the dataplane");
    warned_ = true;
  }
  return static_cast<int>(kAgain.count());
}

}  // namespace fairlead
