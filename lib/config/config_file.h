// Reads the YAML files that configure the daemons. Reading is strict: an unknown or duplicate key,
// a wrong type or a value out of range is a kInvalidArgument that names file, line, key and value:
//
//   /etc/fairlead/dataplane.yaml: line 7: ports[0].mtu: '20' is not a number from 68 to 16000
//
// No I/O, no exceptions.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "lib/base/result.h"

namespace fairlead {

// The position of a value in the file, for messages.
class ConfigPlace {
 public:
  // The whole file. `source` names it. Both must outlive this.
  ConfigPlace(const std::string& source, const YAML::Node& root) : source_(source), node_(root) {}

  // Of a key of the mapping here, and of an item of the list here. They may be missing.
  ConfigPlace Key(const std::string& key) const;
  ConfigPlace Item(size_t index) const;

  Status Error(const std::string& what) const;

 private:
  ConfigPlace(const ConfigPlace& outer, std::string path)
      : source_(outer.source_), path_(std::move(path)) {}

  const std::string& source_;
  YAML::Node node_;
  std::string path_;  // "ports[0].mtu"
  int line_ = 0;      // 0: unknown
};

// Parses the one document in `text`. A text without one (only comments) gives a null node.
Result<YAML::Node> ParseConfigFile(const std::string& text, const std::string& source);

// `node` is a mapping with no other keys than the known ones, each at most once.
Status CheckKeys(const YAML::Node& node, const ConfigPlace& place,
                 std::span<const std::string_view> known);
inline Status CheckKeys(const YAML::Node& node, const ConfigPlace& place,
                        std::initializer_list<std::string_view> known) {
  return CheckKeys(node, place, std::span(known.begin(), known.size()));
}

Result<std::string> ReadText(const YAML::Node& node, const ConfigPlace& place);
Result<uint64_t> ReadNumber(const YAML::Node& node, const ConfigPlace& place, uint64_t low,
                            uint64_t high);
// "true" or "false".
Result<bool> ReadSwitch(const YAML::Node& node, const ConfigPlace& place);

// Parses every item of a list. A scalar counts as a list of one item. parse(node, place) returns a
// Status.
template <typename Parse>
Status ReadList(const YAML::Node& node, const ConfigPlace& place, Parse&& parse) {
  if (node.IsScalar()) return parse(node, place);
  if (!node.IsSequence()) return place.Error("must be a list");
  for (size_t i = 0; i < node.size(); ++i) RETURN_IF_ERROR(parse(node[i], place.Item(i)));
  return {};
}

}  // namespace fairlead
