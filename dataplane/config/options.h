// The command line: fairlead-dataplane [options] [-- EAL arguments].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/config/config.h"
#include "lib/base/result.h"

namespace fairlead {

struct Options {
  DataplaneConfig config;                // from the file; the command line overrides it
  std::optional<std::string> snapshot;   // image to load at start
  std::optional<std::string> link_path;  // unset = no link
  std::optional<uint32_t> idle_exit_ms;  // --exit-when-idle
  bool verbose = false;
  bool check = false;                      // --check: only say what a start would take over
  bool json = false;                       // --json: say it in JSON
  std::vector<std::string> eal_arguments;  // the arguments after "--"
};

// Either options, or `exit_status`. After --help and --version have printed, it is 0.
struct ParsedOptions {
  std::optional<Options> options;
  int exit_status = 0;
};

// Reads the configuration file too. Prints an error to stderr, in one sentence.
ParsedOptions ParseOptions(int argc, char** argv);

// "500ms", "2s", "1m" -> milliseconds.
Result<uint32_t> ParseDuration(std::string_view text);

}  // namespace fairlead
