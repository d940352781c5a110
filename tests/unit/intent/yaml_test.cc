#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kServices = R"(# as in docs
hash_seed: 42
services:
  - name: web
    frontends: [203.0.113.10:80/tcp, '[2001:db8::10]:80/tcp']
    forwarding: dsr            # dsr | ipip | gue | nat
    hash: 5-tuple
    tracking: adaptive
    idle_timeout: 350s
    drain_timeout: 300s
    health_check: {type: tcp, interval: 2s, timeout: 1s, rise: 2, fall: 3}
    backends:
      - 10.0.0.11
      - {address: 10.0.0.12, weight: 2, mac: 02:00:00:00:00:0c}
)";

TEST(YamlToJson, ReadsAWholeFile) {
  const Result<Json> json = YamlToJson(kServices);
  ASSERT_TRUE(json.ok()) << json.status().message();
  const Result<IntentSpec> intent = IntentFromJson(*json);
  ASSERT_TRUE(intent.ok()) << intent.status().message();
  EXPECT_EQ(intent->hash_seed, 42U);
  ASSERT_EQ(intent->services.size(), 1U);
  const ServiceSpec& web = intent->services[0];
  EXPECT_EQ(web.frontends[1].ToString(), "[2001:db8::10]:80/tcp");
  EXPECT_EQ(web.tracking, Tracking::kAdaptive);
  EXPECT_EQ(web.backends[1].mac->ToString(), "02:00:00:00:00:0c");
}

TEST(YamlToJson, ReadsJsonAsTheJsonParserDoes) {
  const std::string json_text =
      ServiceToJson(IntentFromJson(YamlToJson(kServices).value()).value().services[0]).dump();
  EXPECT_EQ(YamlToJson(json_text).value(), ParseJson(json_text).value());
}

struct Scalar {
  const char* name;
  const char* yaml;
  Json value;
};

const Scalar kScalars[] = {
    {"Integer", "7", 7},
    {"Negative", "-7", -7},
    {"Hexadecimal", "0xff", 255},
    {"LargestInteger", "18446744073709551615", 18446744073709551615ULL},
    {"Fraction", "1.5", 1.5},
    {"LeadingZeroIsText", "010", "010"},
    {"TimeLikeIsText", "12:30:45", "12:30:45"},
    {"AddressIsText", "10.0.0.11", "10.0.0.11"},
    {"QuotedNumberIsText", "'7'", "7"},
    {"TaggedNumberIsText", "!!str 7", "7"},
    {"YesIsText", "yes", "yes"},
    {"NoIsText", "no", "no"},
    {"True", "true", true},
    {"False", "false", false},
    {"Null", "null", nullptr},
    {"Tilde", "~", nullptr},
    {"QuotedNull", "\"null\"", "null"},
    {"HexPrefixOnlyIsText", "0x", "0x"},
    {"MinusIsText", "-x", "-x"},
};

class YamlScalars : public ::testing::TestWithParam<Scalar> {};

TEST_P(YamlScalars, HaveOneMeaning) {
  const Result<Json> json = YamlToJson("a: " + std::string(GetParam().yaml));
  ASSERT_TRUE(json.ok()) << json.status().message();
  EXPECT_EQ((*json)["a"], GetParam().value);
  EXPECT_EQ((*json)["a"].type(),
            GetParam().value.type() == Json::value_t::number_integer && GetParam().value >= 0
                ? Json::value_t::number_unsigned
                : GetParam().value.type());
}

INSTANTIATE_TEST_SUITE_P(All, YamlScalars, ::testing::ValuesIn(kScalars),
                         [](const auto& row) { return std::string(row.param.name); });

struct BadYaml {
  const char* name;
  std::string text;
  const char* message;
};

const BadYaml kBadYaml[] = {
    {"Empty", "", "YAML: the document is empty"},
    {"OnlyComment", "# nothing\n", "YAML: the document is empty"},
    {"Syntax", "a: [1, 2", "YAML: line "},
    {"DuplicateKey", "a: 1\nb: 2\na: 3\n", "YAML: line 3, column 1: key \"a\" appears twice"},
    {"DuplicateKeyInFlowMap", "x: {weight: 1, weight: 2}", "key \"weight\" appears twice"},
    {"Alias", "a: &x [1]\nb: *x\n", "YAML: line 2, column 4: aliases (*name) are not supported"},
    {"Tag", "a: !!binary aGVsbG8=", "tags are not supported"},
    {"KeyIsAList", "? [1]\n: 2\n", "a key must be plain text"},
    {"KeyIsAMap", "? {a: 1}\n: 2\n", "a key must be plain text"},
    {"TwoDocuments", "a: 1\n---\nb: 2\n", "YAML: more than one document"},
    {"TooDeep", std::string(17, '[') + std::string(17, ']'), "nested deeper than 16"},
    {"FarTooDeep", std::string(100'000, '['), "YAML: "},
    {"NotUtf8", "a: \xff", "YAML: not UTF-8"},
    {"UndefinedAlias", "a: *nothing", "YAML: line 1"},
    {"TabIndent", "a:\n\t- 1\n", "YAML: line "},
};

class YamlToJsonRefuses : public ::testing::TestWithParam<BadYaml> {};

TEST_P(YamlToJsonRefuses, AndSaysWhere) {
  const Result<Json> json = YamlToJson(GetParam().text);
  ASSERT_FALSE(json.ok()) << json->dump();
  EXPECT_THAT(json.status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Texts, YamlToJsonRefuses, ::testing::ValuesIn(kBadYaml),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(YamlToJson, RefusesTextLongerThanItsLimit) {
  const Status status = YamlToJson(std::string(kMaxYamlBytes + 1, ' ')).status();
  EXPECT_EQ(status.code(), ErrorCode::kResourceExhausted);
}

TEST(YamlToJson, NeverThrowsOnRandomlyChangedText) {
  constexpr uint64_t kSeed = 20250112;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const std::string good = kServices;
  const std::string bytes = "[]{}:,-?&*!|>'\"%@#\n\t x0";
  size_t refused = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string text = good;
    for (uint64_t i = 1 + random() % 4; i > 0; --i) {
      text[random() % text.size()] = bytes[random() % bytes.size()];
    }
    const Result<Json> json = YamlToJson(text);
    if (!json.ok() || !IntentFromJson(*json).ok()) ++refused;
  }
  EXPECT_GT(refused, 100U);
}

}  // namespace
}  // namespace fairlead
