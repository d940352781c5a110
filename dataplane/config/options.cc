#include "dataplane/config/options.h"

#include <algorithm>
#include <charconv>
#include <iostream>

#include <CLI/CLI.hpp>

#include "lib/host/exit_status.h"
#include "lib/host/text_file.h"
#include "lib/link/message.h"

namespace fairlead {
namespace {

constexpr const char* kVersion = "fairlead-dataplane " FAIRLEAD_VERSION;

// The options as written. Resolve checks them and puts them into the configuration.
struct RawOptions {
  std::string config;
  std::vector<std::string> ports;
  std::vector<std::string> macs;
  std::vector<std::string> mtus;
  std::vector<std::string> kernels;
  std::vector<std::string> spreads;
  uint32_t workers = 0;
  std::string cores;
  std::string idle;
  uint64_t flow_records = 0;
  std::string snapshot;
  std::string link;
  bool no_link = false;
  std::string idle_exit;
  bool verbose = false;
  bool check = false;
  bool json = false;
};

void Declare(CLI::App* app, RawOptions* raw) {
  app->add_option("--config", raw->config, "dataplane.yaml: ports, workers, flow table");
  app->add_option("--port", raw->ports,
                  "NAME=DEVICE, may be repeated; DEVICE is a PCI address, af_xdp:IF, af_packet:IF, "
                  "tap:NAME, memif:PATH, pcap:IN,OUT, null, ring or vdev:NAME")
      ->allow_extra_args(false);
  app->add_option("--mac", raw->macs,
                  "NAME=MAC, may be repeated: the port's own address, then others it accepts")
      ->allow_extra_args(false);
  app->add_option("--mtu", raw->mtus, "NAME=BYTES: the port's MTU")->allow_extra_args(false);
  app->add_option("--kernel", raw->kernels,
                  "NAME=tap:IF: exchange the kernel's packets with it through a new interface IF")
      ->allow_extra_args(false);
  app->add_option("--spread", raw->spreads,
                  "NAME=auto|hardware|software|off: how the port's packets get to the workers")
      ->allow_extra_args(false);
  app->add_option("--workers", raw->workers, "threads that forward packets (default 1)")
      ->check(CLI::Range(1U, kMaxWorkers));
  app->add_option("--cores", raw->cores, "CPUs to bind workers to, such as 2-3");
  app->add_option("--idle", raw->idle, "adaptive (default): sleep when idle; busy: never sleep");
  app->add_option("--flow-records", raw->flow_records, "capacity of the flow table")
      ->check(CLI::Range(kMinFlowRecords, kMaxFlowRecords));
  app->add_option("--snapshot", raw->snapshot, "image to start with (fairctl snapshot build)");
  app->add_option("--link", raw->link,
                  std::string("socket for the control plane (default ") + kDefaultLinkPath +
                      "; none with --exit-when-idle)");
  app->add_flag("--no-link", raw->no_link, "do not listen for the control plane");
  app->add_option("--exit-when-idle", raw->idle_exit,
                  "exit when no packet has arrived for this time, such as 500ms");
  app->add_flag("--verbose", raw->verbose, "log more, including DPDK's warnings");
  CLI::Option* const check = app->add_flag(
      "--check", raw->check,
      "do not start; say what a start with these options would take over from the dataplane that "
      "runs now. Exit status: 0 all of it, 1 something would be lost, 78 the start would fail");
  app->add_flag("--json", raw->json, "print the result of --check as JSON")->needs(check);
  app->set_version_flag("--version", kVersion);
  app->footer("Arguments after -- go to DPDK's EAL: -- --no-huge --no-pci --vdev net_pcap0,...");
}

struct Assignment {
  std::string name;
  std::string value;
};

Result<Assignment> SplitAssignment(const std::string& option, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return InvalidArgument(option + ": '" + text + "' is not NAME=VALUE");
  }
  return Assignment{text.substr(0, equals), text.substr(equals + 1)};
}

Result<PortConfig*> FindPort(const std::string& option, const std::string& name,
                             DataplaneConfig* config) {
  for (PortConfig& port : config->ports) {
    if (port.name == name) return &port;
  }
  return InvalidArgument(option + ": no port is named '" + name + "'");
}

Status ApplyPorts(const RawOptions& raw, DataplaneConfig* config) {
  for (const std::string& text : raw.ports) {
    ASSIGN_OR_RETURN(Assignment port, SplitAssignment("--port", text));
    ASSIGN_OR_RETURN(DeviceSpec device, ParseDevice(port.value));
    config->ports.push_back({std::move(port.name), std::move(device), {}, {}, {}, {}});
  }
  for (const std::string& text : raw.kernels) {
    ASSIGN_OR_RETURN(const Assignment kernel, SplitAssignment("--kernel", text));
    ASSIGN_OR_RETURN(PortConfig* const port, FindPort("--kernel", kernel.name, config));
    Result<std::string> tap = ParseKernelPath(kernel.value);
    if (!tap.ok()) return InvalidArgument("--kernel: " + tap.status().message());
    port->kernel_tap = *std::move(tap);
  }
  for (const std::string& text : raw.spreads) {
    ASSIGN_OR_RETURN(const Assignment spread, SplitAssignment("--spread", text));
    ASSIGN_OR_RETURN(PortConfig* const port, FindPort("--spread", spread.name, config));
    Result<SpreadMode> mode = ParseSpreadMode(spread.value);
    if (!mode.ok()) return InvalidArgument("--spread: " + mode.status().message());
    port->spread = *mode;
  }
  for (const std::string& text : raw.macs) {
    ASSIGN_OR_RETURN(const Assignment mac, SplitAssignment("--mac", text));
    ASSIGN_OR_RETURN(PortConfig* const port, FindPort("--mac", mac.name, config));
    ASSIGN_OR_RETURN(const MacAddress address, MacAddress::Parse(mac.value));
    port->macs.push_back(address);
  }
  for (const std::string& text : raw.mtus) {
    ASSIGN_OR_RETURN(const Assignment mtu, SplitAssignment("--mtu", text));
    ASSIGN_OR_RETURN(PortConfig* const port, FindPort("--mtu", mtu.name, config));
    uint16_t value = 0;
    const char* end = mtu.value.data() + mtu.value.size();
    const auto [stop, error] = std::from_chars(mtu.value.data(), end, value);
    if (error != std::errc() || stop != end || value < kMinMtu || value > kMaxMtu) {
      return InvalidArgument("--mtu: '" + mtu.value + "' is not a number from " +
                             std::to_string(kMinMtu) + " to " + std::to_string(kMaxMtu));
    }
    port->mtu = value;
  }
  return {};
}

Result<DataplaneConfig> BaseConfig(const std::string& path) {
  if (path.empty()) return DataplaneConfig{};
  const Result<std::string> text = ReadTextFile(path);
  if (!text.ok()) {
    return InvalidArgument(text.status().message() + "; name the configuration file with --config");
  }
  return ParseConfig(*text, path);
}

Result<Options> Resolve(const RawOptions& raw) {
  Options options;
  ASSIGN_OR_RETURN(options.config, BaseConfig(raw.config));
  DataplaneConfig& config = options.config;
  RETURN_IF_ERROR(ApplyPorts(raw, &config));
  if (!raw.cores.empty()) {
    ASSIGN_OR_RETURN(config.cores, ParseCores(raw.cores));
    config.workers.reset();
  }
  if (raw.workers != 0) config.workers = raw.workers;
  if (!raw.idle.empty()) {
    ASSIGN_OR_RETURN(config.idle, ParseIdleMode(raw.idle));
  }
  if (raw.flow_records != 0) config.flow_records = raw.flow_records;
  RETURN_IF_ERROR(CheckConfig(config));

  if (!raw.snapshot.empty()) options.snapshot = raw.snapshot;
  if (!raw.idle_exit.empty()) {
    ASSIGN_OR_RETURN(options.idle_exit_ms, ParseDuration(raw.idle_exit));
  }
  if (raw.no_link && !raw.link.empty())
    return InvalidArgument("--link and --no-link contradict each other");
  if (!raw.link.empty()) {
    options.link_path = raw.link;
  } else if (!raw.no_link && raw.idle_exit.empty()) {
    options.link_path = kDefaultLinkPath;
  }
  options.verbose = raw.verbose;
  options.check = raw.check;
  options.json = raw.json;
  return options;
}

}  // namespace

Result<uint32_t> ParseDuration(std::string_view text) {
  uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const std::string_view unit(stop, static_cast<size_t>(end - stop));
  const uint32_t scale = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : 0;
  if (error != std::errc() || scale == 0 || value == 0 || value > 86'400'000 / scale) {
    return InvalidArgument("'" + std::string(text) +
                           "' is not a duration of at most a day; write 500ms, 2s or 1m");
  }
  return value * scale;
}

ParsedOptions ParseOptions(int argc, char** argv) {
  char** const end = argv + argc;
  char** const separator = std::find_if(
      argv, end, [](const char* argument) { return std::string_view(argument) == "--"; });

  // A command line that this release does not know is an answer to --check as well.
  const bool checks = std::find_if(argv, separator, [](const char* argument) {
                        return std::string_view(argument) == "--check";
                      }) != separator;
  CLI::App app("Forwards packets to backends according to the snapshot.", "fairlead-dataplane");
  RawOptions raw;
  Declare(&app, &raw);
  try {
    app.parse(static_cast<int>(separator - argv), argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return {std::nullopt, app.exit(error)};
    std::cerr << "fairlead-dataplane: " << error.what() << " (--help lists the options)\n";
    return {std::nullopt, kExitConfiguration};
  }
  Result<Options> options = Resolve(raw);
  if (!options.ok()) {
    std::cerr << "fairlead-dataplane: " << options.status().message() << "\n";
    return {std::nullopt, checks ? kExitConfiguration : ExitStatusOf(options.status())};
  }
  if (separator != end) options->eal_arguments.assign(separator + 1, end);
  return {*std::move(options), 0};
}

}  // namespace fairlead
