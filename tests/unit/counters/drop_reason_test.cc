#include "lib/counters/drop_reason.h"

#include <cctype>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

std::string FileText(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string OutputOf(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  char block[4096];
  for (size_t n; (n = fread(block, 1, sizeof(block), pipe)) > 0;) output.append(block, n);
  EXPECT_EQ(pclose(pipe), 0) << command;
  return output;
}

TEST(DropReason, NamesAreUniqueAndFitForMetrics) {
  std::set<std::string> names;
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    const std::string name(DropReasonName(static_cast<DropReason>(i)));
    EXPECT_FALSE(name.empty());
    for (const char c : name) EXPECT_TRUE(islower(c) != 0 || c == '_') << name;
    EXPECT_TRUE(names.insert(name).second) << name << " is used twice";
  }
}

TEST(DropReason, EachHasATextOfOneSentence) {
  for (size_t i = 0; i < kDropReasonCount; ++i) {
    const std::string text(DropReasonText(static_cast<DropReason>(i)));
    ASSERT_GT(text.size(), 10U);
    EXPECT_TRUE(isupper(text.front()) != 0 && text.back() == '.') << text;
    EXPECT_EQ(text.find('|'), std::string::npos) << "breaks the table of counters.md: " << text;
  }
}

TEST(DropReason, NamesFollowTheEnum) {
  EXPECT_EQ(DropReasonName(DropReason::kNone), "none");
  EXPECT_EQ(DropReasonName(DropReason::k_other_mac), "other_mac");
  EXPECT_EQ(DropReasonName(DropReason::k_icmp_unsupported), "icmp_unsupported");
  EXPECT_EQ(DropReasonText(DropReason::k_vlan_depth), "More than two VLAN tags.");
}

TEST(DropReason, AskingForAnUnknownReasonAborts) {
  EXPECT_DEATH(static_cast<void>(DropReasonName(DropReason::kCount)), "CHECK failed");
}

TEST(CountersPage, IsWhatTheGeneratorPrints) {
  const std::string committed = FileText(FAIRLEAD_COUNTERS_PAGE);
  const std::string generated = OutputOf(FAIRLEAD_GEN_COUNTERS);
  ASSERT_GT(generated.size(), 1000U);
  EXPECT_EQ(committed, generated)
      << "docs/counters.md is stale; its first lines say how to generate it";
}

}  // namespace
}  // namespace fairlead
