// The command groups. Each declares its subcommands on `app` and, once parsed, sets
// context->action.
#pragma once

#include <CLI/App.hpp>

#include "tools/fairctl/context.h"

namespace fairlead::fairctl {

void AddServiceCommands(CLI::App* app, Context* context);
void AddBackendCommands(CLI::App* app, Context* context);
void AddSeedCommands(CLI::App* app, Context* context);
void AddStoreCommands(CLI::App* app, Context* context);
void AddDataplaneCommands(CLI::App* app, Context* context);
void AddWatchCommand(CLI::App* app, Context* context);
void AddStatusCommands(CLI::App* app, Context* context);
void AddExplainCommand(CLI::App* app, Context* context);
void AddSnapshotCommands(CLI::App* app, Context* context);
void AddCompletionCommand(CLI::App* app, Context* context);

// Declares the argument that names a service, or one of its backends. Completion offers them.
void AddServiceArgument(CLI::App* command, Context* context, std::string* service,
                        const char* name = "service");
void AddBackendArgument(CLI::App* command, Context* context, std::string* backend);

// `backend drain`, including --wait (drain.cc).
struct DrainOptions {
  std::string service;
  std::string backend;
  Json request = Json::object();  // by field name
  bool wait = false;
};
int Drain(Context* context, const DrainOptions& options);

// " (generation 18, in force)" for the reply to a change.
std::string InForceText(const Json& reply);

// Prints the reply's warnings to standard error.
void PrintWarnings(Context* context, const Json& reply);

// Prints the backends of one service as a table.
void PrintBackends(Context* context, const Json& backends);

}  // namespace fairlead::fairctl
