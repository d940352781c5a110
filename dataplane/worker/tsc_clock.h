// The workers' time, read from the TSC: coarse ticks for the flow table, microseconds for rate
// limits. Both count from boot (CLOCK_BOOTTIME), so all threads and later processes agree.
//
// The TSC's rate is only known to some parts in a million. Over weeks the error would reach a
// minute, and an earlier process's records would look a minute younger or older. So the management
// thread resynchronizes the clock every second. A worker may see steps of some microseconds, both
// forwards and backwards.
#pragma once

#include <rte_cycles.h>
#include <time.h>

#include <atomic>
#include <cstdint>

#include "lib/flow/flow_table.h"

namespace fairlead {

class TscClock {
 public:
  TscClock() : hz_(rte_get_tsc_hz()), start_tsc_(rte_rdtsc()), start_us_(BootMicroseconds()) {}

  // Resynchronizes with CLOCK_BOOTTIME. Management thread.
  void Resync() {
    const uint64_t ahead_us = Microseconds(rte_rdtsc()) - BootMicroseconds();
    start_us_.store(start_us_.load(std::memory_order_relaxed) - ahead_us,
                    std::memory_order_relaxed);
  }

  uint64_t Microseconds(uint64_t tsc) const {
    const uint64_t elapsed = tsc - start_tsc_;
    // In two parts, since with a long uptime the product would not fit.
    return start_us_.load(std::memory_order_relaxed) + elapsed / hz_ * 1'000'000 +
           elapsed % hz_ * 1'000'000 / hz_;
  }
  static uint32_t Tick(uint64_t microseconds) {
    return static_cast<uint32_t>(microseconds / (1'000'000 / kTicksPerSecond)) & kTickMask;
  }

 private:
  static uint64_t BootMicroseconds() {
    timespec now = {};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000 +
           static_cast<uint64_t>(now.tv_nsec) / 1000;
  }

  uint64_t hz_;
  uint64_t start_tsc_;
  std::atomic<uint64_t> start_us_;
};

}  // namespace fairlead
