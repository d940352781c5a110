// What `fairlead-agent status` prints: for people and as JSON.
#pragma once

#include <string>
#include <vector>

#include "tools/agent/agent.h"

namespace fairlead::agent {

std::string StatusText(const std::vector<InterfaceStatus>& interfaces);

// {"interfaces": [{"interface", "attached", "hook", "mode", "program_id", "gue_port", "strict",
//   "clamp_mss", "clamped", "balancers": [..], "peers": [..], "counters": {name: n}}
//   | {"interface", "problem"}]}
std::string StatusJson(const std::vector<InterfaceStatus>& interfaces);

}  // namespace fairlead::agent
