#include "lib/intent/min_healthy.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace fairlead {

Result<MinHealthy> ParseMinHealthy(std::string_view text) {
  uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  if (error == std::errc{} && unit.empty() && number <= kMaxBackendsPerService) {
    return MinHealthy{.count = number};
  }
  if (error == std::errc{} && unit == "%" && number >= 1 && number <= 100) {
    return MinHealthy{.percent = number};
  }
  return InvalidArgument("is not " + std::string(kMinHealthyValues));
}

std::string MinHealthyText(const MinHealthy& min) {
  return min.percent != 0 ? std::to_string(min.percent) + "%" : std::to_string(min.count);
}

size_t RequiredHealthy(const MinHealthy& min, size_t counted) {
  if (min.percent != 0) return (counted * min.percent + 99) / 100;
  return std::min<size_t>(min.count, counted);
}

bool IsBelowMinHealthy(const MinHealthy& min, const BackendCounts& counts, bool fell) {
  const size_t required = RequiredHealthy(min, counts.counted);
  if (!fell) return counts.healthy < required;
  return counts.healthy <= required && counts.healthy < counts.counted;
}

}  // namespace fairlead
