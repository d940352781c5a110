#include "lib/intent/checks/check_json.h"

#include <algorithm>
#include <utility>

#include "lib/base/utf8.h"
#include "lib/intent/field_values.h"

namespace fairlead {

using Json = nlohmann::json;

namespace {

// "tls.verify": {"tls", "verify"}; "path": {"", "path"}.
std::pair<std::string_view, std::string_view> SplitName(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {"", name};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

// Null: `json` does not have the setting.
const Json* FindSetting(const Json& json, std::string_view name) {
  const auto [group, member] = SplitName(name);
  const Json* object = &json;
  if (!group.empty()) {
    const auto found = json.find(group);
    if (found == json.end()) return nullptr;
    object = &*found;
  }
  const auto found = object->find(member);
  return found == object->end() ? nullptr : &*found;
}

Status CheckGroup(const CheckType& type, std::string_view group, const Json& object,
                  const std::string& path) {
  std::vector<std::string_view> members;
  for (const CheckField& field : type.fields) {
    const auto [of_group, member] = SplitName(field.name);
    if (of_group == group) members.push_back(member);
  }
  return CheckObject(object, path, group, members);
}

Result<CheckValue> ReadSetting(const CheckField& field, const Json& value,
                               const std::string& path) {
  switch (field.kind) {
    case CheckField::Kind::kFlag: {
      ASSIGN_OR_RETURN(const bool flag, ReadSwitch(value, path));
      return CheckValue(flag);
    }
    case CheckField::Kind::kNumber: {
      ASSIGN_OR_RETURN(const uint64_t number, ReadInteger(value, path, field.min, field.max));
      return CheckValue(number);
    }
    case CheckField::Kind::kText:
      break;
  }
  if (!value.is_string()) return RefuseValue(path, value, "is not text");
  if (!IsPrintableUtf8(value.get_ref<const std::string&>())) {
    return RefuseValue(path, value, "is not printable");
  }
  return CheckValue(value.get<std::string>());
}

}  // namespace

std::vector<std::string_view> CheckMembers(const CheckType& type) {
  std::vector<std::string_view> members;
  for (const CheckField& field : type.fields) {
    const auto [group, member] = SplitName(field.name);
    const std::string_view name = group.empty() ? member : group;
    if (std::ranges::find(members, name) == members.end()) members.push_back(name);
  }
  return members;
}

Result<CheckSettings> ReadCheckSettings(const CheckType& type, const Json& json,
                                        const std::string& path) {
  CheckSettings settings = DefaultCheckSettings(type);
  for (size_t i = 0; i < settings.size(); ++i) {
    const CheckField& field = type.fields[i];
    const auto [group, member] = SplitName(field.name);
    std::string at = JoinPath(path, field.name);
    if (!group.empty() && json.contains(group)) {
      RETURN_IF_ERROR(CheckGroup(type, group, *json.find(group), JoinPath(path, group)));
    }
    const Json* value = FindSetting(json, field.name);
    if (value == nullptr) continue;
    ASSIGN_OR_RETURN(settings[i], ReadSetting(field, *value, at));
  }
  return settings;
}

void WriteCheckSettings(const CheckType& type, const CheckSettings& settings, Json* json) {
  for (size_t i = 0; i < settings.size(); ++i) {
    const auto* text = std::get_if<std::string>(&settings[i]);
    if (text != nullptr && text->empty()) continue;
    const auto [group, member] = SplitName(type.fields[i].name);
    Json& object = group.empty() ? *json : (*json)[std::string(group)];
    std::visit([&, name = std::string(member)](const auto& value) { object[name] = value; },
               settings[i]);
  }
}

}  // namespace fairlead
