// Notices that another station claims a frontend's address. The dataplane drops each announcement of
// that kind and counts it (drop reason address_conflict); this turns growth of the count into events,
// at most one in kConflictEventPeriod, so that a station that repeats itself does not fill the log.
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "controlplane/common/time.h"

namespace fairlead {

inline constexpr std::chrono::seconds kConflictEventPeriod{60};

class ConflictWatch {
 public:
  // `total`: the dataplane's count at `now`. Announcements since the last event (or since the first
  // call: what was counted before is nobody's news) when it is time for an event. A count that fell
  // is a restarted dataplane's, from zero.
  std::optional<uint64_t> Observe(uint64_t total, SteadyTime now);

 private:
  std::optional<uint64_t> told_total_;
  std::optional<SteadyTime> told_at_;
};

}  // namespace fairlead
