// Any bytes as the body of a Stats message, of either version. Accepted statistics must survive
// encoding and decoding.
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
  // Version 3 has fewer fields. Those that it has survive too.
  const Result<DataplaneStats> less = DecodeStats(EncodeStats(*stats, {}, kFirstStatsVersion));
  CHECK(less.ok());
  const std::vector<std::byte> least = EncodeStats(*less, {}, kFirstStatsVersion);
  CHECK(EncodeStats(DecodeStats(least).value(), {}, kFirstStatsVersion) == least);
  return 0;
}
