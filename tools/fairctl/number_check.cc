#include "tools/fairctl/number_check.h"

#include <charconv>
#include <string>

namespace fairlead::fairctl {

CLI::Validator DecimalNumber(uint64_t min, uint64_t max) {
  const std::string range = std::to_string(min) + " to " + std::to_string(max);
  const auto check = [min, max, range](std::string& text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
      return "'" + text + "' is not a number from " + range + " in decimal digits";
    }
    text = std::to_string(value);  // without leading zeros, which CLI11 takes for octal
    return std::string();
  };
  return {check, range};
}

}  // namespace fairlead::fairctl
