#include "lib/config/config_file.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <vector>

namespace fairlead {
namespace {

// The text of a scalar. Empty for every other node, and for none.
std::string ScalarOf(const YAML::Node& node) {
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : "";
}

std::string Listed(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    text += text.empty() ? "" : ", ";
    text += word;
  }
  return text;
}

}  // namespace

ConfigPlace ConfigPlace::Key(const std::string& key) const {
  ConfigPlace place(*this, path_.empty() ? key : path_ + "." + key);
  place.line_ = line_;
  if (!node_.IsDefined() || !node_.IsMap()) return place;
  for (const auto& entry : node_) {
    if (ScalarOf(entry.first) != key) continue;
    place.node_ = YAML::Node(entry.second);
    place.line_ = entry.first.Mark().line + 1;  // of a duplicate key: the last
  }
  return place;
}

ConfigPlace ConfigPlace::Item(size_t index) const {
  ConfigPlace place(*this, path_ + "[" + std::to_string(index) + "]");
  place.line_ = line_;
  if (!node_.IsDefined() || !node_.IsSequence() || index >= node_.size()) return place;
  place.node_ = YAML::Node(node_[index]);
  place.line_ = place.node_.Mark().line + 1;
  return place;
}

Status ConfigPlace::Error(const std::string& what) const {
  return InvalidArgument(source_ + ": " +
                         (line_ == 0 ? "" : "line " + std::to_string(line_) + ": ") +
                         (path_.empty() ? "" : path_ + ": ") + what);
}

Result<YAML::Node> ParseConfigFile(const std::string& text, const std::string& source) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty()) return YAML::Node();
    if (documents.size() == 1) return documents.front();
    return InvalidArgument(source + ": line " + std::to_string(documents[1].Mark().line + 1) +
                           ": a second document begins here; remove the line ---");
  } catch (const YAML::Exception& error) {
    return InvalidArgument(source + ": line " + std::to_string(error.mark.line + 1) + ": " +
                           error.msg);
  }
}

Status CheckKeys(const YAML::Node& node, const ConfigPlace& place,
                 std::span<const std::string_view> known) {
  if (!node.IsDefined() || !node.IsMap()) {
    return place.Error("must be a mapping with the keys " + Listed(known));
  }
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string key = ScalarOf(entry.first);
    if (std::ranges::find(known, key) == known.end()) {
      return place.Key(key).Error("unknown key; the keys here are " + Listed(known));
    }
    if (!seen.insert(key).second) return place.Key(key).Error("duplicate key; remove one");
  }
  return {};
}

Result<std::string> ReadText(const YAML::Node& node, const ConfigPlace& place) {
  std::string text = ScalarOf(node);
  if (text.empty()) return place.Error("must be a non-empty string");
  return text;
}

Result<uint64_t> ReadNumber(const YAML::Node& node, const ConfigPlace& place, uint64_t low,
                            uint64_t high) {
  const std::string text = ScalarOf(node);
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || stop != text.data() + text.size() || value < low ||
      value > high) {
    return place.Error("'" + text + "' is not a number from " + std::to_string(low) + " to " +
                       std::to_string(high));
  }
  return value;
}

Result<bool> ReadSwitch(const YAML::Node& node, const ConfigPlace& place) {
  const std::string text = ScalarOf(node);
  if (text != "true" && text != "false") {
    return place.Error("'" + text + "' is neither true nor false");
  }
  return text == "true";
}

}  // namespace fairlead
