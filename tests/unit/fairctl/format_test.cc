#include "tools/fairctl/format.h"

#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "tools/fairctl/table.h"

namespace fairlead::fairctl {

using Json = nlohmann::json;

namespace {

std::string Printed(const Table& table, bool colour = false) {
  std::ostringstream out;
  table.Print(out, colour);
  return out.str();
}

TEST(Table, AlignsColumnsToTheirWidestCell) {
  Table table({{"NAME"}, {"N", Align::kRight}, {"REST"}});
  table.Add({"a", "7", "x"});
  table.Add({"longer-name", "12345", "y"});
  EXPECT_EQ(Printed(table),
            "NAME             N  REST\n"
            "a                7  x\n"
            "longer-name  12345  y\n");
}

TEST(Table, LeavesNoSpaceAtTheEndOfALine) {
  Table table({{"A"}, {"B"}, {"C", Align::kRight}});
  table.Add({"1", "2", "3"});
  table.Add({"1", "", ""});
  table.Add({"", "wide cell", ""});
  EXPECT_EQ(Printed(table),
            "A  B          C\n"
            "1  2          3\n"
            "1\n"
            "   wide cell\n");
}

TEST(Table, CountsCodePointsNotBytes) {
  Table table({{"A"}, {"B"}});
  table.Add({"\u00e9\u00e9", "x"});
  table.Add({"eeee", "x"});
  EXPECT_EQ(Printed(table), "A     B\n\u00e9\u00e9    x\neeee  x\n");
}

TEST(Table, ColourTakesNoWidth) {
  Table table({{"A"}, {"B"}});
  table.Add({{"ok", Colour::kGreen}, "x"});
  EXPECT_EQ(Printed(table, true), "\x1b[1mA\x1b[0m   \x1b[1mB\x1b[0m\n\x1b[32mok\x1b[0m  x\n");
  EXPECT_EQ(Printed(table, false), "A   B\nok  x\n");
}

TEST(Table, ShowsItsHeadingEvenWithoutRows) { EXPECT_EQ(Printed(Table({{"A"}, {"B"}})), "A  B\n"); }

TEST(Format, FormatsBytes) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{5} << 30), "5.0 GiB");
  EXPECT_EQ(FormatBytes(~uint64_t{0}), "16384.0 PiB");
}

TEST(Format, FormatsDurations) {
  EXPECT_EQ(FormatDuration(0), "0s");
  EXPECT_EQ(FormatDuration(59), "59s");
  EXPECT_EQ(FormatDuration(192), "3m12s");
  EXPECT_EQ(FormatDuration(7500), "2h05m");
  EXPECT_EQ(FormatDuration(3 * 86400 + 4 * 3600), "3d04h");
}

TEST(Format, FormatsRates) {
  EXPECT_EQ(FormatRate(0), "0");
  EXPECT_EQ(FormatRate(950), "950");
  EXPECT_EQ(FormatRate(12'345), "12.3k");
  EXPECT_EQ(FormatRate(1'200'000), "1.20M");
}

TEST(Format, ReadsTimes) {
  EXPECT_EQ(ParseRfc3339Ms("1970-01-01T00:00:01Z"), 1000);
  EXPECT_EQ(ParseRfc3339Ms("1970-01-01T00:00:01.25Z"), 1250);
  EXPECT_EQ(ParseRfc3339Ms("2025-01-09T12:00:00.123456Z"), 1'736'424'000'123);
  for (const char* text :
       {"", "yesterday", "2025-01-09", "2025-01-09T12:00:00", "2025-01-09T12:00"}) {
    EXPECT_EQ(ParseRfc3339Ms(text), std::nullopt) << text;
  }
}

TEST(Format, FormatsAges) {
  EXPECT_EQ(FormatAge("1970-01-01T00:00:10Z", 70'999), "1m00s");
  EXPECT_EQ(FormatAge("1970-01-01T00:00:10Z", 5'000), "0s");  // the two clocks can differ slightly
  EXPECT_EQ(FormatAge("", 5'000), "-");
}

TEST(Format, TreatsMissingFieldsAsEmpty) {
  const Json json = {{"text", "x"}, {"number", 7}, {"negative", -7}};
  EXPECT_EQ(Shown(Member(json, "nothing")), "-");
  EXPECT_EQ(Shown(Member(Member(json, "text"), "deeper")), "-");
  EXPECT_EQ(TextOf(Member(json, "number")), "");
  EXPECT_EQ(NumberOf(Member(json, "text")), 0U);
  EXPECT_EQ(NumberOf(Member(json, "negative")), 0U);
  EXPECT_EQ(NumberOf(Member(json, "number")), 7U);
  EXPECT_TRUE(List(Member(json, "text")).empty());
}

TEST(Format, WritesABackendsEndpoint) {
  EXPECT_EQ(EndpointText({{"address", "10.0.0.1"}}), "10.0.0.1");
  EXPECT_EQ(EndpointText({{"address", "10.0.0.1"}, {"port", 80}}), "10.0.0.1:80");
  EXPECT_EQ(EndpointText({{"address", "2001:db8::1"}}), "2001:db8::1");
  EXPECT_EQ(EndpointText({{"address", "2001:db8::1"}, {"port", 80}}), "[2001:db8::1]:80");
}

}  // namespace
}  // namespace fairlead::fairctl
