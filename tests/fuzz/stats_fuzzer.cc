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
  for (const uint32_t version : {kStatsVersion, kFirstStatsVersion}) {
    const std::vector<std::byte> once = EncodeStats(*stats, {}, version);
    const Result<DataplaneStats> again = DecodeStats(once);
    CHECK(again.ok());
    CHECK(EncodeStats(*again, {}, version) == once);
  }
  return 0;
}
