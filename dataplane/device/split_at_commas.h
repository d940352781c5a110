// Splits the arguments of a device, such as pcap:IN,OUT.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fairlead {

// "a,b" -> "a", "b"; "" -> "".
inline std::vector<std::string> SplitAtCommas(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(',');
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace fairlead
