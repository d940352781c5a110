// slow_start of a service: a backend that becomes healthy, or is added, climbs from 10 % of its
// weight to all of it in ten steps of 10 %, each a tenth of slow_start long. The tenth step is the
// whole weight, so the last change is after nine tenths. Pure. Who climbs, and since when, is kept
// in controlplane/core/service_states.h.
//
// Weights in a snapshot are integers, and most backends have weight 1. While a backend of a service
// climbs, all weights of the service are multiplied by ten (less if a weight is above 100, since
// snapshots have no weight above 1000). Maglev's slots depend on the proportions of the weights
// only, so the factor itself moves no slot.
#pragma once

#include <cstdint>
#include <optional>

namespace fairlead {

inline constexpr uint32_t kWholeWeight = 100;  // percent

// In percent, `elapsed_ms` after the start. kWholeWeight without slow_start.
uint32_t SlowStartPercent(uint64_t elapsed_ms, uint32_t slow_start_ms);
// When the next step begins, in ms after the start. nullopt: there is none.
std::optional<uint64_t> NextSlowStartStepMs(uint64_t elapsed_ms, uint32_t slow_start_ms);

// By how much the weights of a service are multiplied. REQUIRES 1 <= max_weight <= kMaxWeight.
uint32_t SlowStartFactor(uint32_t max_weight);
// Rounded, at least 1 for a weight above 0.
uint16_t SlowStartWeight(uint16_t weight, uint32_t factor, uint32_t percent);

// True if more than half of the weight climbs. Then no backend climbs: the others would get more
// than they had when all were there.
inline bool ClimbsTooMuch(uint64_t climbing_weight, uint64_t weight) {
  return 2 * climbing_weight > weight;
}

}  // namespace fairlead
