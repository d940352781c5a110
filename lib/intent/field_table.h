// A table of fields. Each row reads, writes and checks one member of a struct. The functions below
// decode, encode and describe a struct by its table.
//
//   constexpr Field<BackendSpec> kBackendFields[] = {
//       NumberField<&BackendSpec::weight>({.name = "weight", .help = "...", .max = 1000}),
//       {{.name = "mac", ...}, ReadMac, WriteMac},
//   };
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "lib/intent/field.h"
#include "lib/intent/field_values.h"
#include "lib/intent/json.h"

namespace fairlead {

template <typename Spec>
struct Field {
  FieldInfo info;
  // Stores the value in `spec`. `path` names the field in messages.
  Status (*read)(const FieldInfo& info, const nlohmann::json& value, const std::string& path,
                 Spec* spec) = nullptr;
  // A result of null: the field is not written.
  nlohmann::json (*write)(const FieldInfo& info, const Spec& spec) = nullptr;
  // Checks the value in `spec`, whatever its origin. `prefix`: "services[0].". Null: a rule of the
  // model checks it.
  Status (*check)(const FieldInfo& info, const Spec& spec, std::string_view prefix) = nullptr;
  // Sets a default that depends on fields above. Called before `read`, also if the field is
  // missing.
  void (*prepare)(Spec* spec) = nullptr;
};

template <typename Spec>
using FieldTable = std::span<const Field<Spec>>;

// A word in JSON, and its value.
template <typename Value>
struct Word {
  std::string_view text;
  Value value;
};

namespace field_internal {

template <typename Member>
struct MemberTraits;
template <typename SpecType, typename Type>
struct MemberTraits<Type SpecType::*> {
  using Spec = SpecType;
  using Value = Type;
  static const Type* Get(const Type& member) { return &member; }
};
// Get returns null if the member is unset.
template <typename SpecType, typename Type>
struct MemberTraits<std::optional<Type> SpecType::*> {
  using Spec = SpecType;
  using Value = Type;
  static const Type* Get(const std::optional<Type>& member) {
    return member.has_value() ? &*member : nullptr;
  }
};

template <auto kMember>
using Traits = MemberTraits<decltype(kMember)>;

template <const auto& kWords>
inline constexpr auto kTexts = [] {
  std::array<std::string_view, std::size(kWords)> texts;
  for (size_t i = 0; i < texts.size(); ++i) texts[i] = kWords[i].text;
  return texts;
}();

inline std::string PathIn(std::string_view prefix, const FieldInfo& info) {
  return std::string(prefix).append(info.name);
}

}  // namespace field_internal

// An integer member, or an optional one.
template <auto kMember>
constexpr auto NumberField(FieldInfo info) {
  using Traits = field_internal::Traits<kMember>;
  using Spec = typename Traits::Spec;
  info.kind = FieldKind::kNumber;
  Field<Spec> field{info};
  field.read = [](const FieldInfo& row, const nlohmann::json& value, const std::string& path,
                  Spec* spec) -> Status {
    ASSIGN_OR_RETURN(const uint64_t number, ReadInteger(value, path, row.min, row.max));
    spec->*kMember = static_cast<typename Traits::Value>(number);
    return {};
  };
  field.write = [](const FieldInfo&, const Spec& spec) -> nlohmann::json {
    const auto* value = Traits::Get(spec.*kMember);
    return value == nullptr ? nlohmann::json() : nlohmann::json(*value);
  };
  field.check = [](const FieldInfo& row, const Spec& spec, std::string_view prefix) -> Status {
    const auto* value = Traits::Get(spec.*kMember);
    if (value == nullptr || (*value >= row.min && *value <= row.max)) return {};
    return CheckNumberRange(field_internal::PathIn(prefix, row), *value, row.min, row.max);
  };
  return field;
}

// A member in milliseconds, or an optional one.
template <auto kMember>
constexpr auto DurationField(FieldInfo info) {
  using Traits = field_internal::Traits<kMember>;
  using Spec = typename Traits::Spec;
  info.kind = FieldKind::kDuration;
  Field<Spec> field{info};
  field.read = [](const FieldInfo&, const nlohmann::json& value, const std::string& path,
                  Spec* spec) -> Status {
    ASSIGN_OR_RETURN(spec->*kMember, ReadDuration(value, path));
    return {};
  };
  field.write = [](const FieldInfo&, const Spec& spec) -> nlohmann::json {
    const auto* value = Traits::Get(spec.*kMember);
    return value == nullptr ? nlohmann::json() : nlohmann::json(FormatDurationMs(*value));
  };
  field.check = [](const FieldInfo& row, const Spec& spec, std::string_view prefix) -> Status {
    const auto* value = Traits::Get(spec.*kMember);
    if (value == nullptr || (*value >= row.min && *value <= row.max)) return {};
    return CheckDurationRange(field_internal::PathIn(prefix, row), *value, row.min, row.max);
  };
  return field;
}

template <auto kMember>
constexpr auto SwitchField(FieldInfo info) {
  using Spec = typename field_internal::Traits<kMember>::Spec;
  info.kind = FieldKind::kSwitch;
  Field<Spec> field{info};
  field.read = [](const FieldInfo&, const nlohmann::json& value, const std::string& path,
                  Spec* spec) -> Status {
    ASSIGN_OR_RETURN(spec->*kMember, ReadSwitch(value, path));
    return {};
  };
  field.write = [](const FieldInfo&, const Spec& spec) { return nlohmann::json(spec.*kMember); };
  return field;
}

// One of `kWords`, an array of Word.
template <auto kMember, const auto& kWords>
constexpr auto WordField(FieldInfo info) {
  using Traits = field_internal::Traits<kMember>;
  using Spec = typename Traits::Spec;
  info.kind = FieldKind::kWord;
  info.words = []() -> std::span<const std::string_view> { return field_internal::kTexts<kWords>; };
  Field<Spec> field{info};
  field.read = [](const FieldInfo& row, const nlohmann::json& value, const std::string& path,
                  Spec* spec) -> Status {
    ASSIGN_OR_RETURN(const size_t index, ReadWord(value, path, row.words()));
    spec->*kMember = kWords[index].value;
    return {};
  };
  field.write = [](const FieldInfo&, const Spec& spec) -> nlohmann::json {
    const auto* value = Traits::Get(spec.*kMember);
    for (const auto& word : kWords) {
      if (value != nullptr && word.value == *value) return word.text;
    }
    return nullptr;
  };
  return field;
}

// Decodes `json` into `spec` by the table. `what` ("a service") names the object in messages.
template <typename Spec>
Status ReadFields(FieldTable<Spec> table, const nlohmann::json& json, const std::string& path,
                  std::string_view what, Spec* spec) {
  std::vector<std::string_view> names;
  names.reserve(table.size());
  for (const Field<Spec>& field : table) names.push_back(field.info.name);
  RETURN_IF_ERROR(CheckObject(json, path, what, names));
  for (const Field<Spec>& field : table) {
    if (field.prepare != nullptr) field.prepare(spec);
    const auto found = json.find(field.info.name);
    if (found != json.end()) {
      RETURN_IF_ERROR(field.read(field.info, *found, JoinPath(path, field.info.name), spec));
    } else if (field.info.is_required) {
      return InvalidArgument(JoinPath(path, field.info.name) + ": missing");
    }
  }
  return {};
}

// Encodes the fields for which `is_shown(info)` is true and which have a value.
template <typename Spec, typename IsShown>
nlohmann::json WriteFields(FieldTable<Spec> table, const Spec& spec, IsShown is_shown) {
  nlohmann::json json = nlohmann::json::object();
  for (const Field<Spec>& field : table) {
    if (!is_shown(field.info)) continue;
    nlohmann::json value = field.write(field.info, spec);
    if (!value.is_null()) json[std::string(field.info.name)] = std::move(value);
  }
  return json;
}

template <typename Spec>
Status CheckFields(FieldTable<Spec> table, const Spec& spec, std::string_view prefix) {
  for (const Field<Spec>& field : table) {
    if (field.check != nullptr) RETURN_IF_ERROR(field.check(field.info, spec, prefix));
  }
  return {};
}

template <typename Spec>
std::vector<FieldDescription> DescribeFields(FieldTable<Spec> table) {
  std::vector<FieldDescription> fields;
  const Spec with_defaults = {};
  for (const Field<Spec>& field : table) {
    FieldDescription& description = fields.emplace_back(FieldDescription{field.info, {}});
    if (!field.info.default_text.empty()) {
      description.default_text = field.info.default_text;
    } else if (!field.info.is_required) {
      const nlohmann::json value = field.write(field.info, with_defaults);
      if (value.is_string()) description.default_text = value.get<std::string>();
      if (value.is_number() || value.is_boolean()) description.default_text = value.dump();
    }
  }
  return fields;
}

}  // namespace fairlead
