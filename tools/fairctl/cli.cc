#include "tools/fairctl/cli.h"

#include <algorithm>
#include <ostream>
#include <string_view>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "lib/intent/json.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/completion.h"

namespace fairlead::fairctl {
namespace {

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
}

// CLI11 says of a mistyped command that a command is missing. This message names the word instead.
std::string UsageMessage(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  const bool wants_command = std::string_view(error.what()).find("subcommand") != std::string::npos;
  if (wants_command && !unknown.empty()) return "no such command: " + unknown.front();
  return error.what();
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
                  << "\nRun with --help for commands and options.\n";
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
