#include <algorithm>

#include "lib/intent/checks/check_type.h"
#include "lib/intent/checks/for_tests.h"

namespace fairlead {
namespace {

// All check types that a service may have.
constexpr const CheckType* kCheckTypes[] = {&kTcpCheck,  &kHttpCheck, &kHttpsCheck,
                                            &kGrpcCheck, &kUdpCheck,  &kNoneCheck};

std::vector<const CheckType*>& List() {
  static std::vector<const CheckType*> list(std::begin(kCheckTypes), std::end(kCheckTypes));
  return list;
}

CheckValue DefaultOf(const CheckField& field) {
  switch (field.kind) {
    case CheckField::Kind::kFlag:
      return field.default_number != 0;
    case CheckField::Kind::kNumber:
      return field.default_number;
    case CheckField::Kind::kText:
      break;
  }
  return std::string(field.default_text);
}

Status CheckWord(std::span<const std::string_view> words, const std::string& text,
                 const std::string& path) {
  if (std::ranges::find(words, text) != words.end()) return {};
  std::string list;
  for (const std::string_view word : words) list.append(list.empty() ? "" : " | ").append(word);
  return InvalidArgument(path + text.substr(0, 80) + " is not one of " + list);
}

Status ValidateSetting(const CheckField& field, const CheckValue& value,
                       const std::string& prefix) {
  const std::string path = prefix + std::string(field.name) + ": ";
  if (value.index() != DefaultOf(field).index()) {
    return InvalidArgument(path + "the value has another type than the setting");
  }
  const auto* number = std::get_if<uint64_t>(&value);
  if (number != nullptr && (*number < field.min || *number > field.max)) {
    return InvalidArgument(path + std::to_string(*number) + " is not within " +
                           std::to_string(field.min) + ".." + std::to_string(field.max));
  }
  const auto* text = std::get_if<std::string>(&value);
  if (text != nullptr && !field.words.empty()) return CheckWord(field.words, *text, path);
  if (text == nullptr || field.refusal == nullptr) return {};
  const std::string_view refusal = field.refusal(*text);
  if (refusal.empty()) return {};
  return InvalidArgument(path + text->substr(0, 80) + " " + std::string(refusal));
}

template <typename Matches>
const CheckType* FindIf(Matches matches) {
  const auto found = std::ranges::find_if(List(), matches);
  return found == List().end() ? nullptr : *found;
}

}  // namespace

std::span<const CheckType* const> CheckTypes() { return List(); }

const CheckType* FindCheckType(std::string_view name) {
  return FindIf([&](const CheckType* type) { return type->name == name; });
}

const CheckType* FindCheckType(uint8_t number) {
  return FindIf([&](const CheckType* type) { return type->number == number; });
}

CheckSettings DefaultCheckSettings(const CheckType& type) {
  CheckSettings settings;
  settings.reserve(type.fields.size());
  for (const CheckField& field : type.fields) settings.push_back(DefaultOf(field));
  return settings;
}

Status ValidateCheckSettings(const CheckType& type, const CheckSettings& settings,
                             const std::string& prefix) {
  if (settings.size() != type.fields.size()) {
    return InvalidArgument(prefix + "type: " + std::string(type.name) + " has " +
                           std::to_string(type.fields.size()) + " own settings, not " +
                           std::to_string(settings.size()));
  }
  for (size_t i = 0; i < settings.size(); ++i) {
    RETURN_IF_ERROR(ValidateSetting(type.fields[i], settings[i], prefix));
  }
  return {};
}

ScopedCheckType::ScopedCheckType(const CheckType* type) : type_(type) { List().push_back(type); }

ScopedCheckType::~ScopedCheckType() { std::erase(List(), type_); }

}  // namespace fairlead
