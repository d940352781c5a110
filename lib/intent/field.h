// The fields of what people configure, as data: name, values, default, and what each is for. The JSON
// decoder and writer (decode.cc, where the tables are), fairctl's options and the field tables of
// docs/api.md all read these.
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
  kOther,     // text, lists and objects: `values` says what they are
};

struct FieldInfo {
  std::string_view name;  // in JSON and YAML
  std::string_view help;  // what it is for: half a sentence, read in fairctl's help and docs/api.md
  FieldKind kind = FieldKind::kOther;
  uint64_t min = 0;
  uint64_t max = 0;
  std::span<const std::string_view> (*words)() = nullptr;
  std::string_view values = {};        // of kOther
  std::string_view default_text = {};  // where what the writer shows of a default does not say it
  std::string_view option = {};    // fairctl's, with dashes; empty: fairctl asks for it otherwise
  std::string_view opposite = {};  // of a switch: the option that says false
  std::optional<ModeSetting> setting = {};  // of modes that allow it; else all modes have the field
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
