// Clocks of the control plane. The steady clock measures durations inside the process. Times that
// are stored or shown are wall time in milliseconds since 1970 (UTC).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace fairlead {

using SteadyTime = std::chrono::steady_clock::time_point;

inline SteadyTime SteadyNow() { return std::chrono::steady_clock::now(); }

// For waits that an event ends.
inline constexpr std::chrono::hours kLongTime{1};

// Faked in tests.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyTime Steady() const { return std::chrono::steady_clock::now(); }
  virtual int64_t WallMs() const;
};

std::string FormatRfc3339(int64_t wall_ms);  // "2024-05-01T12:00:00.250Z"

}  // namespace fairlead
