// Latencies, counted in steps of 10 ns up to 1 ms and of 10 us up to 1 s.
#pragma once

#include <cstdint>
#include <vector>

namespace fairlead::bench {

class LatencyCounts {
 public:
  void Add(uint64_t ns) {
    ++total_;
    if (ns < kFineNs * kSteps) {
      ++fine_[ns / kFineNs];
    } else {
      const uint64_t step = ns / kCoarseNs;
      ++coarse_[step < kSteps ? step : kSteps - 1];
    }
  }

  // The latency that `share` of the packets do not exceed (upper edge of its step); 0 if empty.
  uint64_t Percentile(double share) const {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
    uint64_t seen = 0;
    for (uint64_t i = 0; i < kSteps; ++i) {
      seen += fine_[i];
      if (seen > wanted) return (i + 1) * kFineNs;
    }
    for (uint64_t i = 0; i < kSteps; ++i) {
      seen += coarse_[i];
      if (seen > wanted) return (i + 1) * kCoarseNs;
    }
    return 0;
  }

 private:
  static constexpr uint64_t kSteps = 100'000;
  static constexpr uint64_t kFineNs = 10;
  static constexpr uint64_t kCoarseNs = 10'000;

  std::vector<uint64_t> fine_ = std::vector<uint64_t>(kSteps);
  std::vector<uint64_t> coarse_ = std::vector<uint64_t>(kSteps);
  uint64_t total_ = 0;
};

}  // namespace fairlead::bench
