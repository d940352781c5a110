// Asks systemctl about a service unit.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "tools/fairctl/program.h"

namespace fairlead::fairctl {

using RunFn = std::function<Result<ProgramResult>(const std::vector<std::string>& command)>;

struct ServiceUnit {
  std::string name;  // as asked for
  bool active = false;
  uint64_t main_pid = 0;  // 0: it does not run
  // The program and the arguments that the next start will use, with the values of the variables
  // that the unit has now. Variables may quote arguments with spaces. In ExecStart= itself such
  // arguments are not recognised: systemctl prints them without quotes.
  std::vector<std::string> command;
};

// Fails if there is no systemctl or no such unit, and says how to do without.
Result<ServiceUnit> ReadServiceUnit(const RunFn& run, const std::string& name);

}  // namespace fairlead::fairctl
