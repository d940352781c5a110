// Tests lib/net/port_nesting.h and lib/net/port_claims.h.
#include <map>
#include <optional>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "lib/net/port_claims.h"
#include "lib/net/port_nesting.h"

namespace fairlead {
namespace {

TEST(PortNesting, ReturnsTheRangeThatOverlapsInPart) {
  PortNesting nesting;
  EXPECT_FALSE(nesting.Add(1, 100, 0));
  EXPECT_FALSE(nesting.Add(10, 50, 1));
  EXPECT_FALSE(nesting.Add(10, 20, 2));
  EXPECT_FALSE(nesting.Add(30, 50, 3));
  EXPECT_EQ(nesting.Add(40, 60, 4), std::optional<size_t>(3));
  EXPECT_FALSE(nesting.Add(51, 100, 5));
  EXPECT_EQ(nesting.Add(100, 101, 6), std::optional<size_t>(5));
  nesting.Reset();
  EXPECT_FALSE(nesting.Add(100, 101, 7));
}

bool SameTens(int a, int b) { return a / 10 == b / 10; }

TEST(PortClaims, ReportsTheConflictingRangeAndThePort) {
  PortClaims<int> claims;
  EXPECT_FALSE(claims.Add(8000, 8999, 10, SameTens));
  EXPECT_FALSE(claims.Add(8100, 8199, 11, SameTens));  // leads to the same place
  const auto conflict = claims.Add(8999, 9100, 20, SameTens);
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->owner / 10, 1);
  EXPECT_EQ(conflict->port, 8999);
  EXPECT_EQ(claims.Find(9000), nullptr) << "a refused range holds no port";
  EXPECT_FALSE(claims.Add(9000, 9100, 20, SameTens));
  EXPECT_EQ(*claims.Find(9100) / 10, 2);
  EXPECT_EQ(*claims.Find(8000) / 10, 1);
  EXPECT_EQ(claims.Find(7999), nullptr);
  EXPECT_EQ(claims.Find(9101), nullptr);
}

// Compares with a map that has a holder for each port. With few ports, all kinds of overlap occur.
TEST(PortClaims, AgreesWithAPlainMapOnRandomRanges) {
  for (uint32_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    PortClaims<int> claims;
    std::map<uint16_t, int> holder;
    for (int round = 0; round < 40; ++round) {
      const auto first = static_cast<uint16_t>(random() % 60 + 1);
      const auto last = static_cast<uint16_t>(first + random() % 8);
      const int owner = static_cast<int>(random() % 3) * 10;
      std::optional<uint16_t> conflicting_port;
      for (uint16_t port = first; port <= last && !conflicting_port; ++port) {
        if (holder.contains(port) && !SameTens(holder[port], owner)) conflicting_port = port;
      }
      const auto conflict = claims.Add(first, last, owner, SameTens);
      ASSERT_EQ(conflict.has_value(), conflicting_port.has_value()) << first << "-" << last;
      if (conflict) {
        EXPECT_EQ(conflict->port, *conflicting_port);
      } else {
        for (uint16_t port = first; port <= last; ++port) holder[port] = owner;
      }
    }
    for (uint16_t port = 1; port < 80; ++port) {
      const int* found = claims.Find(port);
      ASSERT_EQ(found != nullptr, holder.contains(port)) << port;
      if (found != nullptr) {
        EXPECT_EQ(*found, holder[port]) << port;
      }
    }
  }
}

}  // namespace
}  // namespace fairlead
