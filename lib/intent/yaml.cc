// Converts services.yaml to a JSON value. Declared in json.h.
//
// It uses yaml-cpp's events instead of its nodes. Nodes share what an alias names, so a few lines
// can expand to gigabytes. They also do not keep which scalars were quoted.
#include <charconv>
#include <exception>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "lib/base/utf8.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

std::string At(const YAML::Mark& mark) {
  if (mark.is_null()) return "YAML: ";
  return "YAML: line " + std::to_string(mark.line + 1) + ", column " +
         std::to_string(mark.column + 1) + ": ";
}

// Reads a decimal number without leading zeros ("010" is octal for some readers) or one with 0x.
std::optional<Json> ReadNumber(std::string_view text) {
  const char* end = text.data() + text.size();
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return std::nullopt;
  if (digits.starts_with("0x") && !negative) {
    uint64_t value = 0;
    const auto [rest, error] = std::from_chars(digits.data() + 2, end, value, 16);
    if (error == std::errc{} && rest == end) return Json(value);
    return std::nullopt;
  }
  if (digits.size() > 1 && digits[0] == '0' && digits[1] != '.') return std::nullopt;
  uint64_t positive = 0;
  if (const auto [rest, error] = std::from_chars(digits.data(), end, positive);
      !negative && error == std::errc{} && rest == end) {
    return Json(positive);
  }
  int64_t value = 0;
  if (const auto [rest, error] = std::from_chars(text.data(), end, value);
      error == std::errc{} && rest == end) {
    return Json(value);
  }
  double real = 0;
  if (const auto [rest, error] = std::from_chars(text.data(), end, real);
      error == std::errc{} && rest == end) {
    return Json(real);
  }
  return std::nullopt;
}

Json ReadPlainScalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null") return nullptr;
  if (text == "true") return true;
  if (text == "false") return false;
  if (std::optional<Json> number = ReadNumber(text)) return *std::move(number);
  return text;
}

// After the first failure it ignores everything: a handler can only stop the parser by an
// exception.
class JsonBuilder final : public YAML::EventHandler {
 public:
  const std::string& error() const { return error_; }
  Json TakeValue() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { Add(mark, nullptr); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Fail(mark, "aliases (*name) are not supported");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    const bool is_text = tag == "!" || tag == "tag:yaml.org,2002:str";  // "!" = quoted
    if (!is_text && tag != "?" && !tag.empty()) return Fail(mark, "tags are not supported");
    if (ExpectsKey()) return SetKey(mark, value);
    Add(mark, is_text ? Json(value) : ReadPlainScalar(value));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Open(mark, Json::array());
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Open(mark, Json::object());
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Level {
    Json* container;
    std::string key;
    bool has_key;
  };

  void Fail(const YAML::Mark& mark, const std::string& reason) {
    if (error_.empty()) error_ = At(mark) + reason;
  }

  bool ExpectsKey() const {
    return error_.empty() && !open_.empty() && open_.back().container->is_object() &&
           !open_.back().has_key;
  }

  void SetKey(const YAML::Mark& mark, const std::string& key) {
    if (open_.back().container->contains(key)) {
      return Fail(mark, "key \"" + key + "\" appears twice");
    }
    open_.back().key = key;
    open_.back().has_key = true;
  }

  // Null after a failure.
  Json* Add(const YAML::Mark& mark, Json value) {
    if (ExpectsKey()) Fail(mark, "a key must be plain text");
    if (!error_.empty()) return nullptr;
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Level& level = open_.back();
    if (level.container->is_array()) {
      level.container->push_back(std::move(value));
      return &level.container->back();
    }
    level.has_key = false;
    return &((*level.container)[level.key] = std::move(value));
  }

  void Open(const YAML::Mark& mark, Json container) {
    if (open_.size() == kMaxJsonDepth) {
      Fail(mark, "nested deeper than " + std::to_string(kMaxJsonDepth));
    }
    if (Json* place = Add(mark, std::move(container))) open_.push_back({place, {}, false});
  }

  void Close() {
    if (error_.empty()) open_.pop_back();
  }

  Json root_;
  std::vector<Level> open_;
  std::string error_;
};

Result<Json> Parse(std::string_view text) {
  std::istringstream stream{std::string(text)};
  YAML::Parser parser(stream);
  JsonBuilder builder;
  const bool has_document = parser.HandleNextDocument(builder);
  if (!builder.error().empty()) return InvalidArgument(builder.error());
  if (!has_document) return InvalidArgument("YAML: the document is empty");
  JsonBuilder second;
  if (parser.HandleNextDocument(second)) {
    return InvalidArgument("YAML: more than one document");
  }
  return builder.TakeValue();
}

}  // namespace

Result<Json> YamlToJson(std::string_view text) {
  if (text.size() > kMaxYamlBytes) {
    return ResourceExhausted("YAML of " + std::to_string(text.size()) + " bytes is longer than " +
                             std::to_string(kMaxYamlBytes));
  }
  if (!IsUtf8(text)) return InvalidArgument("YAML: not UTF-8");
  try {
    return Parse(text);
  } catch (const YAML::Exception& problem) {
    return InvalidArgument(At(problem.mark) + problem.msg);
  } catch (const std::exception& problem) {
    return InvalidArgument(std::string("YAML: ") + problem.what());
  }
}

}  // namespace fairlead
