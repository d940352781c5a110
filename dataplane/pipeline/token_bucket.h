// Rate limit of frames that Fairlead makes. One thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fairlead {

class TokenBucket {
 public:
  // Starts full. `rate`: tokens per second. `burst`: the most tokens that can be taken at once.
  TokenBucket(uint32_t rate, uint32_t burst)
      : rate_(rate), capacity_(uint64_t{burst} * kMicro), level_(capacity_) {}

  // Takes one token if there is one. `now_us`: any monotonic clock, in microseconds.
  bool Take(uint64_t now_us) {
    if (now_us > last_us_) {
      // An hour fills any bucket, and keeps the product below 2^64.
      const uint64_t elapsed_us = std::min<uint64_t>(now_us - last_us_, 3'600'000'000);
      level_ = std::min(capacity_, level_ + elapsed_us * rate_);
      last_us_ = now_us;
    }
    if (level_ < kMicro) return false;
    level_ -= kMicro;
    return true;
  }

 private:
  static constexpr uint64_t kMicro = 1'000'000;  // millionths of a token

  uint64_t rate_;
  uint64_t capacity_;  // in millionths of a token
  uint64_t level_;
  uint64_t last_us_ = 0;
};

}  // namespace fairlead
