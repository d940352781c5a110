// What the control plane knows of a backend beyond its specification.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace fairlead {

enum class HealthState : uint8_t { kInitial = 0, kHealthy = 1, kUnhealthy = 2 };

struct Health {
  HealthState state = HealthState::kInitial;
  int64_t since_ms = 0;  // wall time
  std::string reason;    // plain English
  friend bool operator==(const Health&, const Health&) = default;
};

// A drain as it is stored: started and deadline are wall time, so that it survives restarts.
struct DrainRecord {
  int64_t started_ms = 0;
  int64_t deadline_ms = 0;
  int64_t finished_ms = 0;  // 0 = still draining
  std::string reason;       // of the end; empty while draining
  bool finished() const { return finished_ms != 0; }
  friend bool operator==(const DrainRecord&, const DrainRecord&) = default;
};

}  // namespace fairlead
