// Tests every mode of the list that the program is linked with.
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "dataplane/pipeline/rewrite_row.h"
#include "lib/mode/mode.h"

namespace fairlead {
namespace {

// Every mode, by its number.
class EachMode : public ::testing::TestWithParam<uint8_t> {
 protected:
  const ModeDescriptor& mode() const { return *FindMode(GetParam()); }
  const RewriteRow& row() const { return RewriteRowOf(static_cast<ForwardingMode>(GetParam())); }
};

TEST_P(EachMode, IsFoundByItsNumber) {
  ASSERT_NE(FindMode(GetParam()), nullptr);
  EXPECT_EQ(&ModeOf(static_cast<ForwardingMode>(GetParam())), FindMode(GetParam()));
  EXPECT_EQ(FindMode(GetParam()), Modes()[GetParam()]);
}

TEST_P(EachMode, HasARowThatRewritesAndCuts) {
  EXPECT_NE(row().rewrite, nullptr);
  EXPECT_NE(row().cut, nullptr);
  EXPECT_NE(mode().describe, nullptr);
}

TEST_P(EachMode, HasAFastPathForEachOuterFamilyOrNone) {
  if (row().fast_path[0] == nullptr) {
    EXPECT_EQ(row().fast_path[1], nullptr);
  } else {
    EXPECT_EQ(row().fast_path[1] != nullptr, mode().is_tunnel());
  }
}

TEST_P(EachMode, RewritesRepliesIfItTranslatesThem) {
  EXPECT_EQ(row().rewrite_reply != nullptr, mode().translates_replies);
}

TEST_P(EachMode, HasOverheadAndKeepsTheTtlIfItIsATunnel) {
  for (const Family outer : {Family::kIpv4, Family::kIpv6}) {
    EXPECT_EQ(mode().OverheadOf(outer, 0) != 0, mode().is_tunnel());
    // ServiceEntry::overhead_bytes has one byte.
    EXPECT_LE(mode().OverheadOf(outer, mode().allowed_flags), UINT8_MAX);
  }
  EXPECT_FALSE(mode().is_tunnel() && mode().decrements_ttl);
}

// A packet whose outermost destination stays the frontend's address cannot be routed to the backend.
TEST_P(EachMode, NeedsTheBackendOnLinkIfNoAddressLeadsToIt) {
  EXPECT_EQ(mode().needs_on_link, !mode().is_tunnel() && !mode().rewrites_destination());
}

TEST_P(EachMode, AllowsOnlyFlagsThatAreSettings) {
  uint32_t settings = 0;
  for (const ModeSetting& setting : kModeSettings) {
    EXPECT_EQ(setting.flag & kCommonServiceFlags, 0u) << setting.name;
    settings |= setting.flag;
  }
  EXPECT_EQ(mode().allowed_flags & ~settings, 0u);
  EXPECT_EQ(mode().slow_flags & ~mode().allowed_flags, 0u);
}

INSTANTIATE_TEST_SUITE_P(Modes, EachMode,
                         ::testing::Range(uint8_t{0}, static_cast<uint8_t>(Modes().size())),
                         [](const ::testing::TestParamInfo<uint8_t>& row) {
                           return std::string(FindMode(row.param)->name);
                         });

TEST(ModeTable, GivesEveryModeADistinctFastPath) {
  std::set<FastPath> seen = {FastPath::kNone};
  for (size_t number = 0; number < Modes().size(); ++number) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      EXPECT_TRUE(seen.insert(FastPathOf(static_cast<ForwardingMode>(number), family)).second);
    }
  }
}

TEST(ModeTable, HasDistinctNames) {
  std::set<std::string_view> names;
  for (const ModeDescriptor* mode : Modes()) EXPECT_TRUE(names.insert(mode->name).second);
}

TEST(ModeTable, SaysWhichModesAllowASetting) {
  EXPECT_EQ(ModeNamesWith(kGuePortSetting), "gue");
  EXPECT_EQ(ModeNamesWith({"mss_clamp", kServiceMssClamp}), "nat");
  EXPECT_EQ(FindMode(static_cast<uint8_t>(Modes().size())), nullptr);
}

}  // namespace
}  // namespace fairlead
