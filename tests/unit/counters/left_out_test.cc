#include "lib/counters/left_out.h"

#include <cctype>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

// The texts end a sentence ("left out: ..."). The names are labels of a metric.
TEST(LeftOut, EachHasANameAndAText) {
  std::set<std::string> names;
  for (size_t i = 1; i < kLeftOutCount; ++i) {
    const auto reason = static_cast<LeftOut>(i);
    const std::string name(LeftOutName(reason));
    for (const char c : name) EXPECT_TRUE(islower(c) != 0 || c == '_') << name;
    EXPECT_TRUE(names.insert(name).second) << name << " is used twice";
    const std::string text(LeftOutText(reason));
    ASSERT_GT(text.size(), 10U);
    EXPECT_TRUE(islower(text.front()) != 0 && text.back() != '.') << text;
  }
  EXPECT_EQ(LeftOutText(LeftOut::kNo), "");
}

}  // namespace
}  // namespace fairlead
