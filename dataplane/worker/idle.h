// What a worker does between two empty polls of its queues. Busy polling gives the lowest latency,
// but takes a whole CPU; on a small machine, other processes need that CPU too. So in adaptive
// mode, a worker spins for 50 us, since the answer to a request is likely to follow. Then it
// sleeps, first 20 us, later 200 us at a time. This takes a few per cent of a CPU, and delays the
// first packet after a pause by at most that time.
#pragma once

#include <rte_pause.h>
#include <time.h>

#include <cstdint>

#include <sys/prctl.h>

#include "dataplane/config/config.h"

namespace fairlead {

class Idler {
 public:
  Idler(IdleMode mode, uint64_t tsc_hz)
      : mode_(mode), spin_tsc_(tsc_hz / 20'000), short_tsc_(tsc_hz / 500) {}

  // Worker, once, before its loop. With 50 us of timer slack, short sleeps would last too long.
  static void PrepareThread() { prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0); }

  void Busy(uint64_t now_tsc) { last_busy_tsc_ = now_tsc; }

  void Wait(uint64_t now_tsc) {
    rte_pause();
    if (mode_ == IdleMode::kBusy) return;
    const uint64_t idle_tsc = now_tsc - last_busy_tsc_;
    if (idle_tsc < spin_tsc_) return;
    const timespec time = {0, idle_tsc < short_tsc_ ? kShortNs : kLongNs};
    nanosleep(&time, nullptr);
  }

 private:
  static constexpr long kShortNs = 20'000;
  static constexpr long kLongNs = 200'000;

  IdleMode mode_;
  uint64_t spin_tsc_;   // 50 us
  uint64_t short_tsc_;  // 2 ms; sleeps are short before, long after
  uint64_t last_busy_tsc_ = 0;
};

}  // namespace fairlead
