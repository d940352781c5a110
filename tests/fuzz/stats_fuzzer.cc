// Any bytes as the body of a Stats message. A body has one encoding: what is accepted must encode
// to the very bytes that came.
#include <algorithm>
#include <cstdint>
#include <span>

#include "lib/base/check.h"
#include "lib/link/stats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  const auto body = std::as_bytes(std::span(data, size));
  const Result<DataplaneStats> stats = DecodeStats(body);
  if (!stats.ok()) return 0;
  const std::vector<std::byte> again = EncodeStats(*stats);
  CHECK(std::equal(again.begin(), again.end(), body.begin(), body.end()));
  return 0;
}
