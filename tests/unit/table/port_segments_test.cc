#include "lib/table/port_segments.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

TEST(PortSegments, FindsTheNarrowestRange) {
  PortSegments segments;
  const uint32_t group = segments.AddGroup({{1024, 65535, 7}, {8000, 8999, 8}, {1, 1, 9}});
  const uint32_t other = segments.AddGroup({{8000, 8000, 1}});
  EXPECT_EQ(segments.Find(group, 1), 9U);
  EXPECT_EQ(segments.Find(group, 2), PortSegments::kNone);
  EXPECT_EQ(segments.Find(group, 1023), PortSegments::kNone);
  EXPECT_EQ(segments.Find(group, 1024), 7U);
  EXPECT_EQ(segments.Find(group, 7999), 7U);
  EXPECT_EQ(segments.Find(group, 8000), 8U);
  EXPECT_EQ(segments.Find(group, 8999), 8U);
  EXPECT_EQ(segments.Find(group, 9000), 7U);
  EXPECT_EQ(segments.Find(group, 65535), 7U);
  EXPECT_EQ(segments.Find(other, 8000), 1U);
  EXPECT_EQ(segments.Find(other, 8001), PortSegments::kNone);
  EXPECT_EQ(segments.Find(other, 65535), PortSegments::kNone);
}

// Compares with a search through all ranges. Some ranges overlap only in part: another program may
// have made the image.
TEST(PortSegments, AgreesWithASearchThroughAllRanges) {
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::vector<PortRangeValue> ranges;
    for (uint32_t i = 0; i < seed % 12 + 1; ++i) {
      const auto first = static_cast<uint16_t>(random() % 40 + 1);
      ranges.push_back({first, static_cast<uint16_t>(first + random() % 20), i});
    }
    PortSegments segments;
    const uint32_t group = segments.AddGroup(ranges);
    for (uint16_t port = 1; port < 70; ++port) {
      uint32_t wanted = PortSegments::kNone;
      int narrowest = 1 << 20;
      for (const PortRangeValue& range : ranges) {
        if (port < range.first || port > range.last || range.last - range.first > narrowest)
          continue;
        narrowest = range.last - range.first;
        wanted = range.value;
      }
      ASSERT_EQ(segments.Find(group, port), wanted) << port;
    }
  }
}

}  // namespace
}  // namespace fairlead
