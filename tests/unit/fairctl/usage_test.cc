// What fairctl says about a wrong command line, and the examples in its help.
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fairctl/harness.h"
#include "tools/fairctl/examples.h"
#include "tools/fairctl/exit_code.h"

namespace fairlead::fairctl {
namespace {

using testing::Harness;
using ::testing::HasSubstr;

std::vector<std::string> Words(std::string_view line) {
  std::istringstream in{std::string(line)};
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

struct Row {
  const char* name;
  const char* line;
  const char* message;
};

const Row kRows[] = {
    {"Command", "backned list web",
     "fairctl: no such command: backned; did you mean backend?\n"
     "Commands and options: fairctl --help\n"},
    {"CommandOfAGroup", "backend lst web",
     "fairctl: no such command: lst; did you mean list?\n"
     "Commands and options: fairctl backend --help\n"},
    {"NothingNear", "frobnicate",
     "fairctl: no such command: frobnicate\nCommands and options: fairctl --help\n"},
    {"Option", "service add web --forntend 203.0.113.10:80/tcp",
     "fairctl: --forntend is not an option of fairctl service add; did you mean --frontend?\n"
     "Commands and options: fairctl service add --help\n"},
    {"OptionWithAValue", "service list --jsno=1",
     "fairctl: --jsno is not an option of fairctl service list; did you mean --json?\n"
     "Commands and options: fairctl service list --help\n"},
    {"MissingArgument", "service show",
     "fairctl: name is required\nCommands and options: fairctl service show --help\n"},
};

class UsageTest : public ::testing::TestWithParam<Row> {};

TEST_P(UsageTest, NamesWhatIsWrongAndWhatToType) {
  Harness harness;
  EXPECT_EQ(harness.Run(Words(GetParam().line)), kExitUsage);
  EXPECT_EQ(harness.err(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(All, UsageTest, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

// The first lines of a help are the command's description and its usage.
bool HasCommands(const std::string& help) { return help.find("Subcommands:") != std::string::npos; }

void ExpectExamples(const std::string& command) {
  SCOPED_TRACE(command);
  Harness harness;
  std::vector<std::string> words = Words(command);
  words.emplace_back("--help");
  ASSERT_EQ(harness.Run(words), kExitOk);
  const std::string help = harness.out();
  if (!command.empty()) {
    EXPECT_THAT(help, HasSubstr("Example:\n  fairctl " + Words(command).front()));
  }
  if (!HasCommands(help)) return;
  std::istringstream in(help.substr(help.find("Subcommands:")));
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line) && line.starts_with("  ")) {
    if (line[2] == ' ') continue;  // the rest of a description
    const std::string name = Words(line).front();
    ExpectExamples(command.empty() ? name : command + " " + name);
  }
}

TEST(Help, OfEveryCommandHasAnExample) { ExpectExamples(""); }

TEST(Help, HasExamplesThatTheParserAccepts) {
  for (const CommandExample& example : CommandExamples()) {
    SCOPED_TRACE(example.line);
    Harness harness;
    harness.FailToConnect();
    std::vector<std::string> words = Words(example.line);
    ASSERT_EQ(words.front(), "fairctl");
    words.erase(words.begin());
    for (const char* end : {"&&", ">"}) {
      words.erase(std::ranges::find(words, end), words.end());
    }
    EXPECT_TRUE(std::string(example.line).starts_with("fairctl " + std::string(example.command)) ||
                example.command.find(' ') == std::string_view::npos);
    EXPECT_NE(harness.Run(words), kExitUsage) << harness.err();
  }
}

}  // namespace
}  // namespace fairlead::fairctl
