// Records when a worker last found packets at its ports, when it last polled them and found none, and
// its longest pause between two polls: what tells a worker with nothing to do from one that does not run. Only the worker itself can know
// that: to somebody else's clock a worker that waits for its CPU, or for a slow write, is as silent
// as one without packets, and it may have left packets unread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace fairlead {

// Of one worker, which alone writes it; a line of its own.
class alignas(64) Activity {
 public:
  // Worker, once a loop, before it polls its ports. What lies between two calls is a pause: work on a batch, a
  // sleep when there is nothing to do (200 us), or time for which the worker had no CPU.
  void Polls(uint64_t now_tsc) {
    const uint64_t before_tsc = poll_tsc_.load(std::memory_order_relaxed);
    if (before_tsc != 0 && now_tsc > before_tsc + longest_pause_tsc()) {
      longest_pause_tsc_.store(now_tsc - before_tsc, std::memory_order_relaxed);
    }
    // Last: a reader that sees it sees the pause before it too.
    poll_tsc_.store(now_tsc, std::memory_order_release);
  }
  // Worker. `now_tsc` was read before it looked.
  void Found(uint64_t now_tsc) { packet_tsc_.store(now_tsc, std::memory_order_relaxed); }
  void FoundNothing(uint64_t now_tsc) { empty_tsc_.store(now_tsc, std::memory_order_relaxed); }

  // Any thread; 0: never yet.
  uint64_t packet_tsc() const { return packet_tsc_.load(std::memory_order_relaxed); }
  uint64_t empty_tsc() const { return empty_tsc_.load(std::memory_order_relaxed); }

  // Any thread: the longest pause since the first poll, in cycles; one that has not ended by `now_tsc`
  // counts up to then. 0 before the first poll.
  uint64_t LongestPauseCycles(uint64_t now_tsc) const {
    const uint64_t poll_tsc = poll_tsc_.load(std::memory_order_acquire);
    const uint64_t pause_tsc = poll_tsc != 0 && now_tsc > poll_tsc ? now_tsc - poll_tsc : 0;
    return std::max(pause_tsc, longest_pause_tsc());
  }

 private:
  uint64_t longest_pause_tsc() const { return longest_pause_tsc_.load(std::memory_order_relaxed); }

  std::atomic<uint64_t> poll_tsc_{0};
  std::atomic<uint64_t> longest_pause_tsc_{0};
  std::atomic<uint64_t> packet_tsc_{0};
  std::atomic<uint64_t> empty_tsc_{0};
};

// For how long every worker has been looking in vain: from the last packet of any, or from
// `started_tsc` if that is later, to the last empty look of the one that looked longest ago.
// 0 while some worker has not looked since. `activity_of(i)`: of worker i of `count`.
template <typename ActivityOf>
uint64_t IdleCycles(uint64_t started_tsc, size_t count, ActivityOf activity_of) {
  // What was seen empty is read first: a packet found meanwhile makes the time shorter, not longer.
  uint64_t until_tsc = UINT64_MAX;
  for (size_t i = 0; i < count; ++i) until_tsc = std::min(until_tsc, activity_of(i).empty_tsc());
  uint64_t from_tsc = started_tsc;
  for (size_t i = 0; i < count; ++i) from_tsc = std::max(from_tsc, activity_of(i).packet_tsc());
  return count == 0 || until_tsc <= from_tsc ? 0 : until_tsc - from_tsc;
}

}  // namespace fairlead
