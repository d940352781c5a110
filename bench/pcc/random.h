// Random numbers that are the same with every compiler and library. The standard's generators give
// the same numbers everywhere, its distributions do not.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace fairlead::pcc {

// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // [0, n); n < 2^32.
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(((Next() >> 32) * n) >> 32); }
  // (0, 1]
  double Unit() { return static_cast<double>((Next() >> 11) + 1) * 0x1p-53; }
  double Between(double low, double high) { return low + (high - low) * Unit(); }
  bool Chance(double probability) { return Unit() <= probability; }
  double Exponential(double mean) { return -mean * std::log(Unit()); }
  double Normal() {
    return std::sqrt(-2 * std::log(Unit())) * std::cos(2 * std::numbers::pi * Unit());
  }
  double LogNormal(double median, double sigma) { return median * std::exp(sigma * Normal()); }
  uint32_t Poisson(double mean) {  // Knuth's; in pieces, since exp(-mean) underflows
    uint32_t count = 0;
    for (; mean > 50; mean -= 50) count += Poisson(50);
    const double limit = std::exp(-mean);
    for (double product = Unit(); product > limit; product *= Unit()) ++count;
    return count;
  }

 private:
  uint64_t state_;
};

}  // namespace fairlead::pcc
