#include "controlplane/config.h"

#include <algorithm>
#include <vector>

#include "lib/config/config_file.h"

namespace fairlead {
namespace {

constexpr std::string_view kLogFormats[] = {"text", "json"};
constexpr std::string_view kLogLevels[] = {"debug", "info", "warning", "error", "off"};

const ConfigField kFields[] = {
    {"socket", "HTTP API: path of the Unix socket",
     [](FairleaddConfig* config) { return &config->daemon.socket_path; }, nullptr},
    {"store", "SQLite file that keeps services and backends",
     [](FairleaddConfig* config) { return &config->daemon.store_path; }, nullptr},
    {"link", "the dataplane's socket",
     [](FairleaddConfig* config) { return &config->daemon.link_path; }, nullptr},
    {.key = "services",
     .help = "services.yaml; imported if the store was never configured",
     .text = [](FairleaddConfig* config) { return &config->daemon.services_path; },
     .flag = nullptr,
     .may_be_empty = true},
    {"accept_older_store",
     "publish even if the store does not have the change that the dataplane has in force", nullptr,
     [](FairleaddConfig* config) { return &config->daemon.accept_older_store; }},
    {"log_format", "text or json", [](FairleaddConfig* config) { return &config->log_format; },
     nullptr, kLogFormats},
    {"log_level", "debug, info, warning, error or off",
     [](FairleaddConfig* config) { return &config->log_level; }, nullptr, kLogLevels},
};

Status ReadField(const YAML::Node& node, const ConfigPlace& place, const ConfigField& field,
                 FairleaddConfig* config) {
  if (field.flag != nullptr) {
    ASSIGN_OR_RETURN(*field.flag(config), ReadSwitch(node, place));
    return {};
  }
  if (field.may_be_empty && node.IsScalar() && node.Scalar().empty()) {
    field.text(config)->clear();
    return {};
  }
  ASSIGN_OR_RETURN(std::string text, ReadText(node, place));
  if (!field.choices.empty() && std::ranges::find(field.choices, text) == field.choices.end()) {
    return place.Error("'" + text + "' is not possible; write " + field.help);
  }
  *field.text(config) = std::move(text);
  return {};
}

}  // namespace

std::span<const ConfigField> ConfigFields() { return kFields; }

std::string OptionName(const ConfigField& field) {
  std::string name = "--" + std::string(field.key);
  std::ranges::replace(name, '_', '-');
  return name;
}

Status ReadFairleaddConfig(const std::string& text, const std::string& source,
                           FairleaddConfig* config) {
  ASSIGN_OR_RETURN(const YAML::Node root, ParseConfigFile(text, source));
  if (root.IsNull()) return {};
  const ConfigPlace place(source, root);
  std::vector<std::string_view> keys;
  for (const ConfigField& field : kFields) keys.push_back(field.key);
  RETURN_IF_ERROR(CheckKeys(root, place, keys));
  for (const ConfigField& field : kFields) {
    const std::string key(field.key);
    if (!root[key]) continue;
    RETURN_IF_ERROR(ReadField(root[key], place.Key(key), field, config));
  }
  return {};
}

}  // namespace fairlead
