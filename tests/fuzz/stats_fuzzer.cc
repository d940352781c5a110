// Any bytes as the body of a Stats message, of either version. What is accepted must encode to bytes that
// mean the same.
#include <cstdint>
#include <span>

#include "lib/base/check.h"
#include "lib/link/stats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  const auto body = std::as_bytes(std::span(data, size));
  const Result<DataplaneStats> stats = DecodeStats(body);
  if (!stats.ok()) return 0;
  const std::vector<std::byte> once = EncodeStats(*stats);
  const Result<DataplaneStats> again = DecodeStats(once);
  CHECK(again.ok());
  CHECK(EncodeStats(*again) == once);
  // Version 3 tells less: what it tells stays.
  const Result<DataplaneStats> less = DecodeStats(EncodeStats(*stats, {}, kFirstStatsVersion));
  CHECK(less.ok());
  const std::vector<std::byte> least = EncodeStats(*less, {}, kFirstStatsVersion);
  CHECK(EncodeStats(DecodeStats(least).value(), {}, kFirstStatsVersion) == least);
  return 0;
}
