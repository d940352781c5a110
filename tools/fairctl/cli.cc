#include "tools/fairctl/cli.h"

#include <algorithm>
#include <ostream>
#include <string_view>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "lib/base/nearest_word.h"
#include "lib/intent/json.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/completion.h"
#include "tools/fairctl/examples.h"

namespace fairlead::fairctl {
namespace {

// The command of this path. REQUIRES that there is one.
CLI::App* FindCommand(CLI::App* app, std::string_view path) {
  const size_t end = path.find(' ');
  app = app->get_subcommand(std::string(path.substr(0, end)));
  return end == std::string_view::npos ? app : FindCommand(app, path.substr(end + 1));
}

// The innermost command that the command line names.
const CLI::App* ChosenCommand(const CLI::App* app) {
  while (!app->get_subcommands().empty()) app = app->get_subcommands().back();
  return app;
}

// "fairctl backend".
std::string PathOf(const CLI::App* app) {
  const std::string name = app->get_name();
  return app->get_parent() == nullptr ? name : PathOf(app->get_parent()) + " " + name;
}

std::vector<std::string> CommandNames(const CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::App* each : app->get_subcommands({})) names.push_back(each->get_name());
  return names;
}

// Of the command and those around it, since options are allowed after the command, too.
std::vector<std::string> OptionNames(const CLI::App* app) {
  std::vector<std::string> names;
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// CLI11 says of a mistyped command that a command is missing, and of a mistyped option perhaps that
// another one is. This message names the word instead, and the one that was probably meant.
std::string UsageMessage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = ChosenCommand(&app);
  for (const std::string& word : app.remaining(/*recurse=*/true)) {
    if (word.starts_with("--") && word.size() > 2) {
      const std::string name = word.substr(0, word.find('='));
      return name + " is not an option of " + PathOf(command) +
             DidYouMean(name, OptionNames(command));
    }
    if (!CommandNames(command).empty()) {
      return "no such command: " + word + DidYouMean(word, CommandNames(command));
    }
  }
  return error.what();
}

void AddExamples(CLI::App* app) {
  for (const CommandExample& example : CommandExamples()) {
    CLI::App* command = FindCommand(app, example.command);
    command->footer("Example:\n  " + std::string(example.line) + "\n\n" + kExitCodeHelp);
  }
}

void Declare(CLI::App* app, Context* context) {
  app->set_version_flag("--version", std::string("fairctl ") + FAIRLEAD_VERSION);
  app->footer(kExitCodeHelp);
  app->require_subcommand(1);
  app->fallthrough();  // global options are allowed after the command too
  CLI::Option* socket =
      app->add_option("--socket", context->socket_path, "fairleadd's control socket")
          ->envname("FAIRLEAD_SOCKET")
          ->capture_default_str();
  context->Offer(socket, ValueKind::kFiles);
  app->add_flag("--json", context->json, "print JSON, for programs");
  app->add_option("--request-timeout", context->request_timeout,
                  "how long to wait for each of fairleadd's answers")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const Result<uint32_t> duration = ParseDurationMs(text);
        return duration.ok() ? std::string() : duration.status().message();
      });
  AddServiceCommands(app, context);
  AddBackendCommands(app, context);
  AddSeedCommands(app, context);
  AddStoreCommands(app, context);
  AddDataplaneCommands(app, context);
  AddStatusCommands(app, context);
  AddWatchCommand(app, context);
  AddExplainCommand(app, context);
  AddSnapshotCommands(app, context);
  AddCompletionCommand(app, context);
  AddExamples(app);
}

}  // namespace

int RunFairctl(std::vector<std::string> arguments, Environment* environment) {
  Context context(environment);
  CLI::App app("Operates the Fairlead load balancer.", "fairctl");
  Declare(&app, &context);
  if (!arguments.empty() && arguments.front() == "complete") {
    arguments.erase(arguments.begin());
    return Complete(app, arguments, &context);
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 reads them from the end
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::Success& success) {  // --help, --version
    app.exit(success, context.out(), context.err());
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    context.err() << "fairctl: " << UsageMessage(app, error)
                  << "\nCommands and options: " << PathOf(ChosenCommand(&app)) << " --help\n";
    return kExitUsage;
  }
  const int exit_code = context.action();
  context.out().flush();
  if (!context.out()) {
    context.err() << "fairctl: cannot write the output\n";
    return kExitFailed;
  }
  return exit_code;
}

}  // namespace fairlead::fairctl
