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
  DataplaneConfig config;                // the file's, then what the command line says
  std::optional<std::string> snapshot;   // image to load at start
  std::optional<std::string> link_path;  // unset = no link
  std::optional<uint32_t> idle_exit_ms;  // --exit-when-idle
  bool verbose = false;
  std::vector<std::string> eal_arguments;  // what followed "--"
};

// Either options, or `exit_status`: --help and --version have printed and want 0.
struct ParsedOptions {
  std::optional<Options> options;
  int exit_status = 0;
};

// Reads the configuration file too. Prints what the user did wrong, in one sentence, to stderr.
ParsedOptions ParseOptions(int argc, char** argv);

// "500ms", "2s", "1m" -> milliseconds.
Result<uint32_t> ParseDuration(std::string_view text);

}  // namespace fairlead
