#include "lib/mode/mode.h"

#include <vector>

#include "lib/base/check.h"

namespace fairlead {

const ModeDescriptor* FindMode(uint8_t number) {
  const auto modes = Modes();
  return number < modes.size() ? modes[number] : nullptr;
}

const ModeDescriptor& ModeOf(ForwardingMode mode) {
  const ModeDescriptor* found = FindMode(static_cast<uint8_t>(mode));
  CHECK(found != nullptr);
  return *found;
}

std::string ModeNames() {
  std::string names;
  for (const ModeDescriptor* mode : Modes()) {
    names.append(names.empty() ? "" : " | ").append(mode->name);
  }
  return names;
}

std::string ModeNamesWith(const ModeSetting& setting) {
  std::string names;
  for (const ModeDescriptor* mode : Modes()) {
    if (mode->Allows(setting)) names.append(names.empty() ? "" : " or ").append(mode->name);
  }
  return names;
}

std::string RoutedModeNames() {
  std::vector<std::string_view> names;
  for (const ModeDescriptor* mode : Modes()) {
    if (!mode->needs_on_link) names.push_back(mode->name);
  }
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i != 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace fairlead
