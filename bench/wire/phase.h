// One phase of a run: packets at one rate for some time, and what became of them.
#pragma once

#include <cstdint>
#include <string>

#include "bench/wire/memif.h"
#include "bench/wire/traffic.h"
#include "lib/base/result.h"

namespace fairlead::bench {

struct PhaseSetting {
  double packets_per_second = 0;  // 0: as many as find room
  double seconds = 1;
  // At most so many packets under way, so that what comes back finds room in a ring of that length
  // even if this thread does not run for a while. What is due beyond that is missed.
  uint64_t in_flight = UINT64_MAX;
  // The latency of what was under way while this thread did not run (kGapNs) is not counted, and in a
  // phase with a rate nothing was due then.
  bool skip_gaps = false;
};

// Between two looks at the clock of a thread that runs lie a few microseconds.
inline constexpr uint64_t kGapNs = 10'000;

struct PhaseResult {
  uint64_t sent = 0;
  uint64_t missed = 0;  // due, but the device under test had left no room: a NIC would have dropped
  double seconds = 0;   // of sending, without gaps that were skipped
  uint64_t gaps = 0;    // when this thread did not run
  double gap_seconds = 0;  // all of them together
  double send_pps = 0;
  double receive_pps = 0;  // within the time of sending
  Verdicts verdicts;
  uint64_t p50_ns = 0;
  uint64_t p99_ns = 0;
  uint64_t p999_ns = 0;

  uint64_t lost() const { return sent - verdicts.received; }
  std::string Json(const PhaseSetting& setting) const;
};

// "max:2", "1000000:1.5" (packets per second), "50%:1" (of `fastest_pps`, the first max phase's).
Result<PhaseSetting> ParsePhase(const std::string& text, double fastest_pps);

// Single packets, with pauses, until one comes back: the device under test is up then.
Status AwaitForwarding(Memif* out, Memif* in, Traffic* traffic, int timeout_ms);

// Sends on `out`, receives on `in` (the same one if need be); busy, on this thread.
PhaseResult RunPhase(const PhaseSetting& setting, Memif* out, Memif* in, Traffic* traffic);

}  // namespace fairlead::bench
