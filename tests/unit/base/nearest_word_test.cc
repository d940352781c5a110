#include "lib/base/nearest_word.h"

#include <vector>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

constexpr std::string_view kCommands[] = {"backend", "service", "status", "stats", "store", "seed"};

TEST(EditDistance, CountsEditsAndExchangedNeighbours) {
  EXPECT_EQ(EditDistance("", ""), 0U);
  EXPECT_EQ(EditDistance("web", ""), 3U);
  EXPECT_EQ(EditDistance("", "web"), 3U);
  EXPECT_EQ(EditDistance("web", "web"), 0U);
  EXPECT_EQ(EditDistance("backned", "backend"), 1U);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3U);
  EXPECT_EQ(EditDistance("ca", "abc"), 3U);  // an exchange is not edited again
  EXPECT_EQ(EditDistance(std::string(40, 'a'), std::string(40, 'b')), 40U);
}

TEST(NearestWord, FindsWhatWasMeant) {
  EXPECT_EQ(NearestWord("backned", kCommands), "backend");
  EXPECT_EQ(NearestWord("servce", kCommands), "service");
  EXPECT_EQ(NearestWord("sed", kCommands), "seed");
  EXPECT_EQ(NearestWord("back", kCommands), "backend");
  EXPECT_EQ(DidYouMean("satus", kCommands), "; did you mean status?");
}

TEST(NearestWord, IsEmptyIfNothingIsNear) {
  EXPECT_EQ(NearestWord("drain", kCommands), "");
  EXPECT_EQ(NearestWord("", kCommands), "");
  EXPECT_EQ(NearestWord("x", kCommands), "");
  EXPECT_EQ(NearestWord(std::string(41, 's'), kCommands), "");
  EXPECT_EQ(NearestWord("backend", std::vector<std::string>()), "");
  EXPECT_EQ(NearestWord("backend", std::vector<std::string>{std::string(41, 'b')}), "");
  EXPECT_EQ(DidYouMean("drain", kCommands), "");
}

}  // namespace
}  // namespace fairlead
