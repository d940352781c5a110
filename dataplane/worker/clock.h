// Time as a worker sees it, read from the TSC: coarse ticks for the flow table, microseconds for
// rate limits. Both count from boot (CLOCK_BOOTTIME), so all threads, and a later process, agree.
#pragma once

#include <rte_cycles.h>
#include <time.h>

#include <cstdint>

#include "lib/flow/flow_table.h"

namespace fairlead {

class Clock {
 public:
  Clock() : hz_(rte_get_tsc_hz()), start_tsc_(rte_rdtsc()) {
    timespec now = {};
    clock_gettime(CLOCK_BOOTTIME, &now);
    start_us_ =
        static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
  }

  uint64_t Microseconds(uint64_t tsc) const {
    const uint64_t elapsed = tsc - start_tsc_;
    // Split, since the product of a long uptime would not fit.
    return start_us_ + elapsed / hz_ * 1'000'000 + elapsed % hz_ * 1'000'000 / hz_;
  }
  static uint32_t Tick(uint64_t microseconds) {
    return static_cast<uint32_t>(microseconds / (1'000'000 / kTicksPerSecond)) & kTickMask;
  }

 private:
  uint64_t hz_;
  uint64_t start_tsc_;
  uint64_t start_us_ = 0;
};

}  // namespace fairlead
