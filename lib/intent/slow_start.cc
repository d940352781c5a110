#include "lib/intent/slow_start.h"

#include <algorithm>

#include "lib/maglev/maglev_table.h"

namespace fairlead {
namespace {

constexpr uint32_t kSteps = 10;

}  // namespace

uint32_t SlowStartPercent(uint64_t elapsed_ms, uint32_t slow_start_ms) {
  if (elapsed_ms >= slow_start_ms) return kWholeWeight;
  const auto step = static_cast<uint32_t>(elapsed_ms * kSteps / slow_start_ms);  // 0..9
  return (step + 1) * kWholeWeight / kSteps;
}

std::optional<uint64_t> NextSlowStartStepMs(uint64_t elapsed_ms, uint32_t slow_start_ms) {
  if (SlowStartPercent(elapsed_ms, slow_start_ms) == kWholeWeight) return std::nullopt;
  const uint64_t next = elapsed_ms * kSteps / slow_start_ms + 1;
  return (next * slow_start_ms + kSteps - 1) / kSteps;
}

uint32_t SlowStartFactor(uint32_t max_weight) {
  return std::min<uint32_t>(kSteps, kMaxWeight / max_weight);
}

uint16_t SlowStartWeight(uint16_t weight, uint32_t factor, uint32_t percent) {
  if (weight == 0) return 0;
  const uint32_t share = (weight * factor * percent + kWholeWeight / 2) / kWholeWeight;
  return static_cast<uint16_t>(std::max<uint32_t>(share, 1));
}

}  // namespace fairlead
