// fairleadd: the control plane process. Only this file exits, with a status of exit_status.h.
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <sys/resource.h>

#include "controlplane/common/event.h"
#include "controlplane/common/log.h"
#include "controlplane/config.h"
#include "controlplane/daemon.h"
#include "lib/host/exit_status.h"
#include "lib/host/service_manager.h"
#include "lib/host/text_file.h"

namespace {

using fairlead::ConfigField;
using fairlead::FairleaddConfig;

// `given` gets what the command line says, `config_path` the file.
void Declare(CLI::App* app, FairleaddConfig* given, std::string* config_path) {
  app->set_version_flag("--version", std::string("fairleadd ") + FAIRLEAD_VERSION);
  app->add_option("--config", *config_path,
                  std::string("fairleadd.yaml: the options below, as keys; they take precedence "
                              "(default ") +
                      fairlead::kDefaultConfigPath + ", if it exists)");
  for (const ConfigField& field : fairlead::ConfigFields()) {
    const std::string name = fairlead::OptionName(field);
    if (field.flag != nullptr) {
      app->add_flag(name, *field.flag(given), field.help);
      continue;
    }
    CLI::Option* const option = app->add_option(name, *field.text(given), field.help);
    option->capture_default_str();
    if (field.choices.empty()) continue;
    option->check(
        CLI::IsMember(std::vector<std::string>(field.choices.begin(), field.choices.end())));
  }
}

// The file's settings, with those of the command line in place of them.
fairlead::Result<FairleaddConfig> Resolve(const CLI::App& app, FairleaddConfig* given,
                                          const std::string& config_path) {
  FairleaddConfig config;
  const std::string path = config_path.empty() ? fairlead::kDefaultConfigPath : config_path;
  const fairlead::Result<std::string> text = fairlead::ReadTextFile(path);
  if (text.ok()) {
    RETURN_IF_ERROR(fairlead::ReadFairleaddConfig(*text, path, &config));
  } else if (!config_path.empty() || text.status().code() != fairlead::ErrorCode::kNotFound) {
    return fairlead::InvalidArgument(text.status().message() +
                                     "; name the configuration file with --config");
  }
  for (const ConfigField& field : fairlead::ConfigFields()) {
    if (app.count(fairlead::OptionName(field)) == 0) continue;
    if (field.flag != nullptr) {
      *field.flag(&config) = *field.flag(given);
    } else {
      *field.text(&config) = *field.text(given);
    }
  }
  return config;
}

// Prints why the start failed. Returns the exit status.
int Fail(const fairlead::Status& status) {
  std::fprintf(stderr, "fairleadd: %s\n", status.message().c_str());
  return fairlead::ExitStatusOf(status);
}

// Each running health check needs a file descriptor. The usual soft limit of 1024 exists for
// programs that use select().
void RaiseFileDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // if this fails, fewer checks run at once
}

int Run(const FairleaddConfig& config) {
  using fairlead::LogLevel;
  if (const fairlead::Status status = fairlead::ConfigureLog(config.log_format, config.log_level);
      !status.ok()) {
    return Fail(status);
  }
  fairlead::ServiceManager service_manager = fairlead::ServiceManager::FromEnvironment();
  RaiseFileDescriptorLimit();
  ::signal(SIGPIPE, SIG_IGN);  // raised when the reader of the log has exited
  boost::asio::io_context context(1);
  fairlead::Daemon daemon(&context, config.daemon, &service_manager);
  if (const fairlead::Status status = daemon.Start(); !status.ok()) return Fail(status);
  fairlead::Log(LogLevel::kInfo, "started",
                {{"version", FAIRLEAD_VERSION},
                 {"socket", config.daemon.socket_path},
                 {"store", config.daemon.store_path}});
  boost::asio::signal_set signals(context, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& error, int signal) {
    if (error) return;
    fairlead::Log(LogLevel::kInfo, "stopping", {{"signal", signal}});
    service_manager.Stopping();
    daemon.Stop();
  });
  boost::asio::post(context, [&] { service_manager.Ready(); });
  fairlead::RunDespiteOutOfMemory(&context);
  fairlead::Log(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Fairlead's control plane: services, backends, health, drains, over a Unix socket.");
  FairleaddConfig given;
  std::string config_path;
  Declare(&app, &given, &config_path);
  try {
    app.parse(argc, argv);
    const fairlead::Result<FairleaddConfig> config = Resolve(app, &given, config_path);
    return config.ok() ? Run(*config) : Fail(config.status());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return Fail(
        fairlead::InvalidArgument(std::string(error.what()) + " (--help lists the options)"));
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "fairleadd: %s\n", exception.what());
    return fairlead::kExitFailure;
  }
}
