// The field tables, and the page that documents them.
#include "lib/intent/field.h"

#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/intent/field_table.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

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

// An example: each field needs a member and one row.
struct Lamp {
  uint16_t brightness = 7;
  std::optional<uint32_t> fade_ms;
  bool is_on = false;
};
constexpr Word<bool> kSwitchWords[] = {{"off", false}, {"on", true}};
constexpr Field<Lamp> kLampFields[] = {
    NumberField<&Lamp::brightness>({.name = "brightness", .help = "how bright", .max = 10}),
    DurationField<&Lamp::fade_ms>(
        {.name = "fade", .help = "for how long", .min = 1000, .max = 9000}),
    WordField<&Lamp::is_on, kSwitchWords>(
        {.name = "switch", .help = "whether", .is_required = true}),
};

Status Read(const char* text, Lamp* lamp) {
  return ReadFields<Lamp>(kLampFields, Json::parse(text), "lamps[3]", "a lamp", lamp);
}

TEST(Fields, ARowReadsWritesChecksAndDescribesAMember) {
  Lamp lamp;
  const Status read = Read(R"({"brightness": 9, "fade": "2s", "switch": "on"})", &lamp);
  ASSERT_TRUE(read.ok()) << read.message();
  EXPECT_EQ(lamp.brightness, 9);
  EXPECT_EQ(lamp.fade_ms, 2000U);
  EXPECT_TRUE(lamp.is_on);
  const auto all = [](const FieldInfo&) { return true; };
  EXPECT_EQ(WriteFields<Lamp>(kLampFields, lamp, all).dump(),
            R"({"brightness":9,"fade":"2s","switch":"on"})");
  EXPECT_EQ(WriteFields<Lamp>(kLampFields, Lamp(), all).dump(),
            R"({"brightness":7,"switch":"off"})");

  EXPECT_TRUE(CheckFields<Lamp>(kLampFields, lamp, "").ok());
  lamp.brightness = 11;
  EXPECT_EQ(CheckFields<Lamp>(kLampFields, lamp, "lamps[3].").message(),
            "lamps[3].brightness: 11 is not within 0..10");
  lamp.brightness = 10;
  lamp.fade_ms = 999;
  EXPECT_EQ(CheckFields<Lamp>(kLampFields, lamp, "").message(), "fade: 999ms is not within 1s..9s");

  const auto fields = DescribeFields<Lamp>(kLampFields);
  ASSERT_EQ(fields.size(), 3U);
  EXPECT_EQ(fields[0].default_text, "7");
  EXPECT_EQ(FieldValuesText(fields[0].info), "0..10");
  EXPECT_EQ(FieldValuesText(fields[1].info), "1s..9s");
  EXPECT_EQ(FieldValuesText(fields[2].info), "off | on");
}

TEST(Fields, ErrorsNameFieldValueAndRemedy) {
  const struct {
    const char* json;
    const char* message;
  } rows[] = {
      {R"({"switch": "on", "brightness": 11})", "lamps[3].brightness: 11 is not within 0..10"},
      {R"({"switch": "on", "brightness": -1})", "lamps[3].brightness: -1 is not within 0..10"},
      {R"({"switch": "on", "brightness": 70000})",
       "lamps[3].brightness: 70000 is not within 0..10"},
      {R"({"switch": "dim"})", R"(lamps[3].switch: "dim" is not one of off | on)"},
      {R"({"switch": "on", "fade": 2})",
       R"(lamps[3].fade: 2 is not a duration: write a number and ms, s, m or h, such as "30s")"},
      {R"({"switch": "on", "hue": 1})",
       "lamps[3].hue: 1 belongs to an unknown field; a lamp has brightness fade switch"},
      {"{}", "lamps[3].switch: missing"},
      {"[]", "lamps[3]: [] is not an object"},
  };
  for (const auto& row : rows) {
    Lamp lamp;
    EXPECT_EQ(Read(row.json, &lamp).message(), row.message);
  }
}

TEST(Fields, EachHasAHelpTextThatFitsIntoATable) {
  for (const auto* fields : {&ServiceFields(), &BackendFields(), &DrainFields()}) {
    std::set<std::string_view> names;
    std::set<std::string_view> options;
    for (const FieldDescription& field : *fields) {
      EXPECT_TRUE(names.insert(field.info.name).second) << field.info.name << " is used twice";
      EXPECT_GT(field.info.help.size(), 5U) << field.info.name;
      EXPECT_FALSE(FieldValuesText(field.info).empty()) << field.info.name;
      EXPECT_EQ(field.info.help.find('|'), std::string::npos)
          << "would break the table of docs/api.md: " << field.info.name;
      EXPECT_TRUE(field.info.is_required || !field.default_text.empty()) << field.info.name;
      if (field.info.option.empty()) continue;
      EXPECT_TRUE(options.insert(field.info.option).second) << field.info.option;
      EXPECT_EQ(field.info.kind == FieldKind::kSwitch, !field.info.opposite.empty());
    }
  }
}

TEST(FieldsPage, IsWhatTheGeneratorPrints) {
  const std::string committed = FileText(FAIRLEAD_API_PAGE);
  const std::string generated = OutputOf(FAIRLEAD_GEN_FIELDS " " FAIRLEAD_API_PAGE);
  ASSERT_THAT(generated, HasSubstr("| `drain_timeout` | 0s..1h | `300s` |"));
  EXPECT_TRUE(committed == generated)
      << "docs/api.md is stale; generate it again (HACKING.md, How to add a field)";
}

TEST(FieldsPage, OfManIsWhatTheGeneratorPrints) {
  const std::string committed = FileText(FAIRLEAD_SERVICES_PAGE);
  const std::string generated = OutputOf(FAIRLEAD_GEN_FIELDS " " FAIRLEAD_SERVICES_PAGE);
  ASSERT_THAT(generated, HasSubstr("    Values: 0s..1h.\n    Default: `300s`.\n"));
  EXPECT_TRUE(committed == generated)
      << "man/services.yaml.5.md is stale; generate it again (HACKING.md, How to add a field)";
}

}  // namespace
}  // namespace fairlead
