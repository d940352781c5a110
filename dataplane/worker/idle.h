// What a worker does between two empty looks at its queues. Busy polling gives the lowest latency
// and takes a whole CPU; on a small machine that CPU is somebody else's too. So, unless told to be
// busy: spin for 50 us (a request's answer is likely to follow), then sleep in steps up to 200 us,
// which costs a few per cent of a CPU and adds at most that to the first packet after a pause.
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

  // Worker, once, before its loop: short sleeps are worth nothing with 50 us of timer slack.
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
  uint64_t short_tsc_;  // 2 ms: sleeps are short before, long after
  uint64_t last_busy_tsc_ = 0;
};

}  // namespace fairlead
