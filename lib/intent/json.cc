#include "lib/intent/json.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "lib/base/utf8.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxReasonBytes = 200;

// The parser's message, without its tag and safe to print.
std::string CleanReason(std::string_view what) {
  if (const size_t tag_end = what.find("] "); tag_end != std::string_view::npos) {
    what.remove_prefix(tag_end + 2);
  }
  std::string reason(what.substr(0, kMaxReasonBytes));
  for (char& c : reason) {
    if (static_cast<uint8_t>(c) < 0x20 || static_cast<uint8_t>(c) > 0x7e) c = '?';
  }
  return reason;
}

// Builds the value, and stops at the first input that a strict reader must refuse. nlohmann's own
// builder keeps the last of two equal keys and does not limit the depth.
class StrictBuilder final : public nlohmann::json_sax<Json> {
 public:
  const std::string& error() const { return error_; }
  Json TakeValue() { return std::move(root_); }

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return Fail("binary value"); }
  bool start_object(size_t) override { return Open(Json::object()); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (open_.back()->contains(name)) return Fail("key \"" + name + "\" appears twice");
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& problem) override {
    return Fail(CleanReason(problem.what()));
  }

 private:
  bool Fail(std::string reason) {
    error_ = std::move(reason);
    return false;
  }

  Json* Place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  bool Add(Json value) {
    Place(std::move(value));
    return true;
  }

  // Pointers stay valid: elements are added to a container only while it is the innermost.
  bool Open(Json container) {
    if (open_.size() == kMaxJsonDepth) {
      return Fail("nested deeper than " + std::to_string(kMaxJsonDepth));
    }
    open_.push_back(Place(std::move(container)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;
  std::string key_;
  std::string error_;
};

struct DurationUnit {
  std::string_view name;
  uint64_t ms;
};
constexpr DurationUnit kDurationUnits[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};

bool IsPathCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '[' ||
         c == ']';
}

}  // namespace

Result<Json> ParseJson(std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return ResourceExhausted("JSON of " + std::to_string(text.size()) + " bytes is longer than " +
                             std::to_string(max_bytes));
  }
  if (!IsUtf8(text)) return InvalidArgument("JSON: not UTF-8");
  StrictBuilder builder;
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return InvalidArgument("JSON: " + builder.error());
  }
  return builder.TakeValue();
}

Result<uint32_t> ParseDurationMs(std::string_view text) {
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  for (const DurationUnit& candidate : kDurationUnits) {
    if (error != std::errc{} || unit != candidate.name) continue;
    constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max();
    if (count > kMax / candidate.ms) break;
    return static_cast<uint32_t>(count * candidate.ms);
  }
  const std::string shown = IsPrintableUtf8(text) ? std::string(text.substr(0, 80)) : "(bytes)";
  return InvalidArgument("\"" + shown +
                         "\" is not a duration: write a number and ms, s, m or h, such as 30s");
}

std::string FormatDurationMs(uint32_t duration_ms) {
  if (duration_ms % 1000 != 0) return std::to_string(duration_ms) + "ms";
  if (duration_ms != 0 && duration_ms % 3'600'000 == 0) {
    return std::to_string(duration_ms / 3'600'000) + "h";
  }
  return std::to_string(duration_ms / 1000) + "s";
}

std::string FieldOfMessage(std::string_view message) {
  if (message.starts_with("service ")) {
    const size_t end = message.find(": ");
    if (end == std::string_view::npos) return {};
    message.remove_prefix(end + 2);
  }
  const size_t end = message.find(": ");
  if (end == 0 || end == std::string_view::npos) return {};
  const std::string_view path = message.substr(0, end);
  for (const char c : path) {
    if (!IsPathCharacter(c)) return {};
  }
  return std::string(path);
}

}  // namespace fairlead
