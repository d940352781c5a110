// fairleadd.yaml: each key is decoded, and the installed file has every key with its default.
#include <regex>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/config.h"
#include "tests/unit/controlplane/installed_config.h"

namespace fairlead {
namespace {

using testing::HasSubstr;

// Sets every value to one that is not its default.
FairleaddConfig OtherValues() {
  FairleaddConfig config;
  for (const ConfigField& field : ConfigFields()) {
    if (field.flag != nullptr) {
      *field.flag(&config) = !*field.flag(&config);
    } else {
      *field.text(&config) = "another value";
    }
  }
  return config;
}

TEST(FairleaddYaml, TheInstalledFileHasOnlyComments) {
  FairleaddConfig config = OtherValues();
  ASSERT_TRUE(ReadFairleaddConfig(InstalledConfig(), "f.yaml", &config).ok());
  for (const ConfigField& field : ConfigFields()) {
    if (field.text == nullptr) continue;
    EXPECT_EQ(*field.text(&config), "another value") << field.key;
  }
}

TEST(FairleaddYaml, TheInstalledFileShowsEveryKeyWithItsDefault) {
  // "#key: value" becomes a setting. Prose has a space after #.
  const std::string settings =
      std::regex_replace(InstalledConfig(), std::regex("(^|\n)#([a-z_]+:)"), "$1$2");
  FairleaddConfig config = OtherValues();
  const Status read = ReadFairleaddConfig(settings, "f.yaml", &config);
  ASSERT_TRUE(read.ok()) << read.message();
  FairleaddConfig defaults;
  for (const ConfigField& field : ConfigFields()) {
    if (field.flag != nullptr) {
      EXPECT_EQ(*field.flag(&config), *field.flag(&defaults)) << field.key;
    } else {
      EXPECT_EQ(*field.text(&config), *field.text(&defaults)) << field.key;
    }
  }
}

TEST(FairleaddYaml, ReadsEveryKey) {
  FairleaddConfig config;
  const Status read = ReadFairleaddConfig(
      "socket: /s\nstore: /d\nlink: /l\nservices: /y\naccept_older_store: true\n"
      "log_format: json\nlog_level: debug\n",
      "f.yaml", &config);
  ASSERT_TRUE(read.ok()) << read.message();
  EXPECT_EQ(config.daemon.socket_path, "/s");
  EXPECT_EQ(config.daemon.store_path, "/d");
  EXPECT_EQ(config.daemon.link_path, "/l");
  EXPECT_EQ(config.daemon.services_path, "/y");
  EXPECT_TRUE(config.daemon.accept_older_store);
  EXPECT_EQ(config.log_format, "json");
  EXPECT_EQ(config.log_level, "debug");
}

TEST(FairleaddYaml, RefusesUnknownKeysAndWrongValuesWithLineAndRemedy) {
  const struct {
    const char* text;
    const char* message;
  } rows[] = {
      {"link: /l\nsockt: /s\n", "f.yaml: line 2: sockt: unknown key; the keys here are socket, "},
      {"log-level: info\n", "f.yaml: line 1: log-level: unknown key"},
      {"log_level: loud\n",
       "f.yaml: line 1: log_level: 'loud' is not possible; write debug, info, warning, error or"},
      {"\nlog_format: [json]\n", "f.yaml: line 2: log_format: must be a non-empty string"},
      {"accept_older_store: yes\n",
       "f.yaml: line 1: accept_older_store: 'yes' is neither true nor false"},
      {"socket: ''\n", "f.yaml: line 1: socket: must be a non-empty string"},
      {"socket:\n", "f.yaml: line 1: socket: must be a non-empty string"},
      {"services: {a: 1}\n", "f.yaml: line 1: services: must be a non-empty string"},
      {"link: /a\nlink: /b\n", "f.yaml: line 2: link: duplicate key"},
      {"text\n", "f.yaml: must be a mapping with the keys socket, "},
      {"link: [\n", "f.yaml: line 2: "},
  };
  for (const auto& row : rows) {
    FairleaddConfig config;
    const Status read = ReadFairleaddConfig(row.text, "f.yaml", &config);
    EXPECT_EQ(read.code(), ErrorCode::kInvalidArgument) << row.text;
    EXPECT_THAT(read.message(), HasSubstr(row.message));
  }
}

}  // namespace
}  // namespace fairlead
