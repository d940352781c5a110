// One phase of a run: sends packets at one rate for some time, and counts what came back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "bench/wire/memif.h"
#include "bench/wire/traffic.h"
#include "lib/base/result.h"

namespace fairlead::bench {

struct PhaseSetting {
  double packets_per_second = 0;  // 0: as many as the ring has space for
  double seconds = 1;
  // The most packets in flight. So packets that come back fit into a ring of that length, even if
  // this thread does not run for a while. Packets that are due beyond that count as missed.
  uint64_t in_flight = UINT64_MAX;
  // Does not count the latency of packets that were in flight while this thread did not run
  // (kGapNs). In a phase with a rate, no packets were due in that time.
  bool skip_gaps = false;
};

// The shortest gap. A thread that runs reads the clock every few microseconds.
inline constexpr uint64_t kGapNs = 10'000;

struct PhaseResult {
  uint64_t sent = 0;
  uint64_t missed = 0;     // due, but the ring had no space: a NIC would have dropped them
  double seconds = 0;      // of sending, without gaps that were skipped
  uint64_t gaps = 0;       // times in which this thread did not run
  double gap_seconds = 0;  // their sum
  double send_pps = 0;
  double receive_pps = 0;  // within the time of sending
  PacketChecks verdicts;
  uint64_t p50_ns = 0;
  uint64_t p99_ns = 0;
  uint64_t p999_ns = 0;

  // Packets of the phase before may come back in this one, after they were counted as lost there.
  uint64_t lost() const { return sent - std::min(sent, verdicts.received); }
  std::string Json(const PhaseSetting& setting) const;
};

// "max:2", "1000000:1.5" (packets per second), "50%:1" (of `fastest_pps`, the first max phase's).
Result<PhaseSetting> ParsePhase(const std::string& text, double fastest_pps);

// Sends single packets, with pauses, until one comes back. Then the device under test forwards.
Status AwaitForwarding(Memif* out, Memif* in, Traffic* traffic, int timeout_ms);

// Sends on `out` and receives on `in`, which may be the same. Polls, on this thread.
PhaseResult RunPhase(const PhaseSetting& setting, Memif* out, Memif* in, Traffic* traffic);

}  // namespace fairlead::bench
