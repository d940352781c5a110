// The fields of what people configure, as data: name, values, default and help. The JSON decoder
// and writer (decode.cc, which has the tables), fairctl's options and the field tables of
// docs/api.md are made from them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/mode/mode.h"

namespace fairlead {

enum class FieldKind : uint8_t {
  kNumber,    // min..max
  kSwitch,    // true or false
  kDuration,  // min..max in ms; "30s"
  kWord,      // one of `words`
  kOther,     // text, lists and objects: `values` describes them
};

struct FieldInfo {
  std::string_view name;  // in JSON and YAML
  std::string_view help;  // its purpose, a short phrase for fairctl's help and docs/api.md
  FieldKind kind = FieldKind::kOther;
  uint64_t min = 0;
  uint64_t max = 0;
  std::span<const std::string_view> (*words)() = nullptr;
  std::string_view values = {};             // for kOther
  std::string_view default_text = {};       // describes the default if its written value does not
  std::string_view option = {};             // fairctl's option, with dashes; empty: it has none
  std::string_view opposite = {};           // for a switch: the option that sets it to false
  std::optional<ModeSetting> setting = {};  // set: only modes that allow it have the field
  bool is_required = false;
};

struct FieldDescription {
  FieldInfo info;
  std::string default_text;  // empty: none
};

// In the order in which they are read and shown.
const std::vector<FieldDescription>& ServiceFields();
const std::vector<FieldDescription>& BackendFields();
const std::vector<FieldDescription>& DrainFields();

// "1..65535", "tcp | none", "1s..24h".
std::string FieldValuesText(const FieldInfo& info);

}  // namespace fairlead
