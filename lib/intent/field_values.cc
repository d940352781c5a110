#include "lib/intent/field_values.h"

#include <algorithm>
#include <utility>

#include "lib/base/nearest_word.h"
#include "lib/base/utf8.h"
#include "lib/intent/field.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

// The value as JSON, cut to 80 bytes for a message.
std::string Shown(const Json& value) {
  constexpr size_t kMaxBytes = 80;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMaxBytes) text = text.substr(0, kMaxBytes) + "...";
  return text;
}

// A field's name comes from outside, so it is shown only if it is short and printable.
std::string PrintableName(const std::string& name) {
  return name.size() <= 60 && IsPrintableUtf8(name) ? name : "(name)";
}

std::string JoinWords(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) text.append(text.empty() ? "" : " | ").append(word);
  return text;
}

std::string RangeText(const std::string& min, const std::string& max) { return min + ".." + max; }

std::string NumberRange(uint64_t min, uint64_t max) {
  return RangeText(std::to_string(min), std::to_string(max));
}

std::string DurationRange(uint64_t min_ms, uint64_t max_ms) {
  return RangeText(FormatDurationMs(static_cast<uint32_t>(min_ms)),
                   FormatDurationMs(static_cast<uint32_t>(max_ms)));
}

}  // namespace

Status RefuseValue(std::string path, const Json& value, std::string_view why) {
  if (path.empty()) path = "value";
  path.append(": ").append(Shown(value)).append(" ").append(why);
  return InvalidArgument(std::move(path));
}

std::string JoinPath(const std::string& path, std::string_view field) {
  return path.empty() ? std::string(field) : path + "." + std::string(field);
}

std::string IndexedPath(const std::string& path, size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

Result<uint64_t> ReadInteger(const Json& value, const std::string& path, uint64_t min,
                             uint64_t max) {
  if (!value.is_number_integer()) return RefuseValue(path, value, "is not an integer");
  const bool negative = !value.is_number_unsigned() && value.get<int64_t>() < 0;
  const auto number = negative ? 0 : value.get<uint64_t>();
  if (negative || number < min || number > max) {
    return RefuseValue(path, value, "is not within " + NumberRange(min, max));
  }
  return number;
}

Result<bool> ReadSwitch(const Json& value, const std::string& path) {
  if (!value.is_boolean()) return RefuseValue(path, value, "is neither true nor false");
  return value.get<bool>();
}

Result<uint32_t> ReadDuration(const Json& value, const std::string& path) {
  const Result<uint32_t> duration = value.is_string()
                                        ? ParseDurationMs(value.get_ref<const std::string&>())
                                        : Result<uint32_t>(InvalidArgument("not text"));
  if (duration.ok()) return *duration;
  return RefuseValue(path, value,
                     "is not a duration: write a number and ms, s, m or h, such as \"30s\"");
}

Result<size_t> ReadWord(const Json& value, const std::string& path,
                        std::span<const std::string_view> words) {
  if (value.is_string()) {
    const auto found = std::ranges::find(words, value.get_ref<const std::string&>());
    if (found != words.end()) return static_cast<size_t>(found - words.begin());
  }
  std::string why = "is not one of " + JoinWords(words);
  if (value.is_string()) why += DidYouMean(value.get_ref<const std::string&>(), words);
  return RefuseValue(path, value, why);
}

Result<std::span<const Json>> ReadList(const Json& value, const std::string& path) {
  if (!value.is_array()) return RefuseValue(path, value, "is not a list");
  const auto& list = value.get_ref<const Json::array_t&>();
  return std::span<const Json>(list.data(), list.size());
}

Status CheckObject(const Json& object, const std::string& path, std::string_view what,
                   std::span<const std::string_view> known) {
  if (!object.is_object()) return RefuseValue(path, object, "is not an object");
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    std::string why = "belongs to an unknown field; " + std::string(what) + " has";
    for (const std::string_view candidate : known) why.append(" ").append(candidate);
    why.append(DidYouMean(name, known));
    return RefuseValue(JoinPath(path, PrintableName(name)), value, why);
  }
  return {};
}

Status CheckNumberRange(std::string path, uint64_t value, uint64_t min, uint64_t max) {
  if (value >= min && value <= max) return {};
  path.append(": ").append(std::to_string(value)).append(" is not within ");
  return InvalidArgument(path + NumberRange(min, max));
}

Status CheckDurationRange(std::string path, uint64_t value_ms, uint64_t min_ms, uint64_t max_ms) {
  if (value_ms >= min_ms && value_ms <= max_ms) return {};
  path.append(": ").append(FormatDurationMs(static_cast<uint32_t>(value_ms)));
  return InvalidArgument(path + " is not within " + DurationRange(min_ms, max_ms));
}

std::string FieldValuesText(const FieldInfo& info) {
  switch (info.kind) {
    case FieldKind::kNumber:
      return NumberRange(info.min, info.max);
    case FieldKind::kSwitch:
      return "true | false";
    case FieldKind::kDuration:
      return DurationRange(info.min, info.max);
    case FieldKind::kWord:
      return JoinWords(info.words());
    case FieldKind::kOther:
      break;
  }
  return std::string(info.values);
}

}  // namespace fairlead
