// Detects that another station claims a frontend's address. The dataplane drops and counts such
// announcements (drop reason address_conflict). This class turns a growing count into events, at
// most one per kConflictEventPeriod, so that repeated announcements do not fill the log. One
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "controlplane/common/time.h"

namespace fairlead {

inline constexpr std::chrono::seconds kConflictEventPeriod{60};

class ConflictWatch {
 public:
  // `total`: the dataplane's count at `now`. If an event is due, returns the number of
  // announcements since the last event. Before the first event: since the first call; what was
  // counted before it is ignored. A count that fell comes from a restarted dataplane, which counts
  // from zero.
  std::optional<uint64_t> Observe(uint64_t total, SteadyTime now);

 private:
  std::optional<uint64_t> reported_total_;
  std::optional<SteadyTime> reported_at_;
};

}  // namespace fairlead
