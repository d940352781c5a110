// fairleadd: the control plane process.
#include <csignal>
#include <cstdio>
#include <iostream>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <sys/resource.h>

#include "controlplane/common/event.h"
#include "controlplane/common/log.h"
#include "controlplane/daemon.h"

namespace {

struct Arguments {
  fairlead::DaemonOptions daemon;
  std::string log_format = "text";
  std::string log_level = "info";
};

void Declare(CLI::App* app, Arguments* arguments) {
  fairlead::DaemonOptions& daemon = arguments->daemon;
  app->set_version_flag("--version", std::string("fairleadd ") + FAIRLEAD_VERSION);
  app->add_option("--socket", daemon.socket_path, "HTTP API: path of the Unix socket")
      ->capture_default_str();
  app->add_option("--store", daemon.store_path, "SQLite file that keeps services and backends")
      ->capture_default_str();
  app->add_option("--link", daemon.link_path, "the dataplane's socket")->capture_default_str();
  app->add_option("--services", daemon.services_path,
                  "services.yaml; imported if the store was never configured");
  app->add_flag(
      "--accept-older-store", daemon.accept_older_store,
      "publish even if the store does not have the change that the dataplane has in force");
  app->add_option("--log-format", arguments->log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app->add_option("--log-level", arguments->log_level, "debug, info, warning, error or off")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
}

// Each running health check needs a file descriptor. The usual soft limit of 1024 exists for
// programs that use select().
void RaiseFileDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // if this fails, fewer checks run at once
}

int Run(const Arguments& arguments) {
  using fairlead::LogLevel;
  if (const fairlead::Status status =
          fairlead::ConfigureLog(arguments.log_format, arguments.log_level);
      !status.ok()) {
    std::fprintf(stderr, "fairleadd: %s\n", status.message().c_str());
    return 2;
  }
  RaiseFileDescriptorLimit();
  ::signal(SIGPIPE, SIG_IGN);  // raised when the reader of the log has exited
  boost::asio::io_context context(1);
  fairlead::Daemon daemon(&context, arguments.daemon);
  if (const fairlead::Status status = daemon.Start(); !status.ok()) {
    std::fprintf(stderr, "fairleadd: %s\n", status.message().c_str());
    return 1;
  }
  fairlead::Log(LogLevel::kInfo, "started",
                {{"version", FAIRLEAD_VERSION},
                 {"socket", arguments.daemon.socket_path},
                 {"store", arguments.daemon.store_path}});
  boost::asio::signal_set signals(context, SIGINT, SIGTERM);
  signals.async_wait([&](const boost::system::error_code& error, int signal) {
    if (error) return;
    fairlead::Log(LogLevel::kInfo, "stopping", {{"signal", signal}});
    daemon.Stop();
  });
  fairlead::RunDespiteOutOfMemory(&context);
  fairlead::Log(LogLevel::kInfo, "stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Fairlead's control plane: services, backends, health, drains, over a Unix socket.");
  Arguments arguments;
  Declare(&app, &arguments);
  try {
    app.parse(argc, argv);
    return Run(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "fairleadd: %s\n", exception.what());
    return 1;
  }
}
