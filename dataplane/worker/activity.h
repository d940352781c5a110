// Records when a worker last found packets at its ports, when it last polled them and found none,
// and its longest pause between two polls. This distinguishes a worker with nothing to do from one
// that does not run. Only the worker knows the difference. From outside, a worker that waits for
// its CPU or for a slow write looks like one without packets, but its queues may have packets.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace fairlead {

// One per worker, in its own cache line. Only that worker writes it.
class alignas(64) Activity {
 public:
  // Worker, once per loop, before it polls its ports. The time between two calls is a pause: work
  // on a batch, a sleep when there is nothing to do (200 us), or time without a CPU.
  void Polls(uint64_t now_tsc) {
    const uint64_t before_tsc = poll_tsc_.load(std::memory_order_relaxed);
    if (before_tsc != 0 && now_tsc > before_tsc + longest_pause_tsc()) {
      longest_pause_tsc_.store(now_tsc - before_tsc, std::memory_order_relaxed);
    }
    // Stored last: a reader that sees this value also sees the pause before it.
    poll_tsc_.store(now_tsc, std::memory_order_release);
  }
  // Worker, after a poll. `now_tsc` was read before the poll.
  void Found(uint64_t now_tsc) { packet_tsc_.store(now_tsc, std::memory_order_relaxed); }
  void FoundNothing(uint64_t now_tsc) { empty_tsc_.store(now_tsc, std::memory_order_relaxed); }

  // Any thread. 0: not yet. poll_tsc changes with each loop of the worker.
  uint64_t poll_tsc() const { return poll_tsc_.load(std::memory_order_relaxed); }
  uint64_t packet_tsc() const { return packet_tsc_.load(std::memory_order_relaxed); }
  uint64_t empty_tsc() const { return empty_tsc_.load(std::memory_order_relaxed); }

  // Any thread. The longest pause since the first poll, in cycles. A pause that has not ended by
  // `now_tsc` counts up to that time. 0 before the first poll.
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

// How long all workers have polled empty. The time begins with the last packet of any worker, or at
// `started_tsc` if that is later. It ends with the oldest among the workers' last empty polls. 0
// while some worker has not polled empty since. `activity_of(i)`: the Activity of worker i.
template <typename ActivityOf>
uint64_t IdleCycles(uint64_t started_tsc, size_t count, ActivityOf activity_of) {
  // Reads the empty polls first: a packet found meanwhile makes the time shorter, not longer.
  uint64_t until_tsc = UINT64_MAX;
  for (size_t i = 0; i < count; ++i) until_tsc = std::min(until_tsc, activity_of(i).empty_tsc());
  uint64_t from_tsc = started_tsc;
  for (size_t i = 0; i < count; ++i) from_tsc = std::max(from_tsc, activity_of(i).packet_tsc());
  return count == 0 || until_tsc <= from_tsc ? 0 : until_tsc - from_tsc;
}

}  // namespace fairlead
