// fairleadd's settings. Each is a key of fairleadd.yaml and an option of the command line, which
// takes precedence: `log_level` and --log-level. A new setting is a row of the table in config.cc,
// and a commented line in controlplane/fairleadd.yaml.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "controlplane/daemon.h"
#include "lib/base/result.h"

namespace fairlead {

// Read without --config, if it exists.
inline constexpr const char* kDefaultConfigPath = "/etc/fairlead/fairleadd.yaml";

struct FairleaddConfig {
  DaemonOptions daemon;
  std::string log_format = "text";
  std::string log_level = "info";
};

struct ConfigField {
  std::string_view key;
  const char* help;
  // Where the value is. One of the two is null.
  std::string* (*text)(FairleaddConfig* config);
  bool* (*flag)(FairleaddConfig* config);
  std::span<const std::string_view> choices = {};  // of a text; empty: any
  bool may_be_empty = false;                       // text
};

std::span<const ConfigField> ConfigFields();
// "--log-level"
std::string OptionName(const ConfigField& field);

// Reads the file's text into `config`. Keys that it does not have keep their values. `source` names
// the file in messages. Fails with kInvalidArgument.
Status ReadFairleaddConfig(const std::string& text, const std::string& source,
                           FairleaddConfig* config);

}  // namespace fairlead
