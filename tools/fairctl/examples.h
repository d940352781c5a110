// An example for each command, which its --help shows.
#pragma once

#include <span>
#include <string_view>

namespace fairlead::fairctl {

struct CommandExample {
  std::string_view command;  // "backend drain"
  std::string_view line;     // what to type
};

std::span<const CommandExample> CommandExamples();

}  // namespace fairlead::fairctl
