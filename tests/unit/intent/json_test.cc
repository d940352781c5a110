#include "lib/intent/json.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ParseJson, ReadsWellFormedJson) {
  const Result<Json> json = ParseJson(R"({"a": [1, -2, 3.5, true, null, "text"], "b": {}})");
  ASSERT_TRUE(json.ok()) << json.status().message();
  EXPECT_EQ(json->dump(), R"({"a":[1,-2,3.5,true,null,"text"],"b":{}})");
}

TEST(ParseJson, AcceptsNestingUpToTheLimit) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + "1" + std::string(depth, ']');
  };
  EXPECT_TRUE(ParseJson(nested(kMaxJsonDepth)).ok());
  EXPECT_THAT(ParseJson(nested(kMaxJsonDepth + 1)).status().message(),
              HasSubstr("nested deeper than 16"));
  EXPECT_FALSE(ParseJson(std::string(500'000, '[')).ok());
}

TEST(ParseJson, RefusesTextLongerThanItsLimit) {
  EXPECT_TRUE(ParseJson("12345678", 8).ok());
  const Status status = ParseJson("123456789", 8).status();
  EXPECT_EQ(status.code(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("JSON of 9 bytes is longer than 8"));
}

struct BadText {
  const char* name;
  std::string text;
  const char* message;
};

const BadText kBadJson[] = {
    {"Empty", "", "JSON: "},
    {"Truncated", R"({"a": 1)", "JSON: parse error at line 1, column 8"},
    {"TextAfterTheValue", "{} x", "JSON: parse error"},
    {"TwoValues", "{} {}", "JSON: parse error"},
    {"DuplicateKey", R"({"a": 1, "a": 2})", R"(JSON: key "a" appears twice)"},
    {"DuplicateKeyDeepInside", R"([{"x": {"b": 1, "c": 2, "b": 1}}])", R"(key "b" appears twice)"},
    {"DuplicateKeyByEscape", R"({"a": 1, "\u0061": 2})", R"(key "a" appears twice)"},
    {"NotUtf8", "{\"a\": \"\xff\"}", "JSON: not UTF-8"},
    {"OverlongUtf8", "\"\xc0\xaf\"", "JSON: not UTF-8"},
    {"SurrogateInUtf8", "\"\xed\xa0\x80\"", "JSON: not UTF-8"},
    {"LoneSurrogateEscape", R"("\ud800")", "JSON: parse error"},
    {"Infinity", "1e999", "JSON: "},
    {"NotANumber", "NaN", "JSON: parse error"},
    {"LeadingZero", "010", "JSON: parse error"},
    {"Comment", "/* x */ {}", "JSON: parse error"},
    {"TrailingComma", "[1,]", "JSON: parse error"},
    {"ControlCharacter", "\"\x01\"", "JSON: parse error"},
};

class ParseJsonRefuses : public ::testing::TestWithParam<BadText> {};

TEST_P(ParseJsonRefuses, AndSaysWhy) {
  const Result<Json> json = ParseJson(GetParam().text);
  ASSERT_FALSE(json.ok());
  EXPECT_THAT(json.status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Texts, ParseJsonRefuses, ::testing::ValuesIn(kBadJson),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ParseDurationMs, ReadsANumberAndAUnit) {
  EXPECT_EQ(ParseDurationMs("100ms").value(), 100U);
  EXPECT_EQ(ParseDurationMs("2s").value(), 2000U);
  EXPECT_EQ(ParseDurationMs("5m").value(), 300'000U);
  EXPECT_EQ(ParseDurationMs("24h").value(), 86'400'000U);
  EXPECT_EQ(ParseDurationMs("0s").value(), 0U);
  EXPECT_EQ(ParseDurationMs("4294967295ms").value(), 4'294'967'295U);
}

TEST(ParseDurationMs, RejectsAllOtherText) {
  for (const char* text : {"", "2", "s", "2 s", " 2s", "2s ", "-2s", "+2s", "1.5s", "2S", "2sec",
                           "2d", "0x2s", "4294967296ms", "1194h", "99999999999999999999999s"}) {
    const Result<uint32_t> duration = ParseDurationMs(text);
    ASSERT_FALSE(duration.ok()) << text;
    EXPECT_THAT(duration.status().message(), StartsWith('"' + std::string(text) + '"'));
  }
}

TEST(FormatDurationMs, CanBeReadBack) {
  for (const uint32_t ms : {0U, 1U, 100U, 999U, 1000U, 1500U, 60'000U, 350'000U, 3'600'000U,
                            86'400'000U, 4'294'967'295U}) {
    EXPECT_EQ(ParseDurationMs(FormatDurationMs(ms)).value(), ms) << FormatDurationMs(ms);
  }
  EXPECT_EQ(FormatDurationMs(350'000), "350s");
  EXPECT_EQ(FormatDurationMs(86'400'000), "24h");
  EXPECT_EQ(FormatDurationMs(0), "0s");
  EXPECT_EQ(FormatDurationMs(1500), "1500ms");
}

TEST(FieldOfMessage, IsThePathAtTheStartOfAMessage) {
  EXPECT_EQ(FieldOfMessage("services[0].backends[1].weight: 1001 is"),
            "services[0].backends[1].weight");
  EXPECT_EQ(FieldOfMessage("service web: frontends[0]: 0.0.0.0:80/tcp is"), "frontends[0]");
  EXPECT_EQ(FieldOfMessage("no such service"), "");
  EXPECT_EQ(FieldOfMessage("JSON: parse error"), "");
  EXPECT_EQ(FieldOfMessage("Two words: x"), "");
  EXPECT_EQ(FieldOfMessage(""), "");
}

}  // namespace
}  // namespace fairlead
