// fairctl from its arguments to its exit status; main.cc adds the process around it.
#pragma once

#include <string>
#include <vector>

#include "tools/fairctl/context.h"

namespace fairlead::fairctl {

// `arguments` without the program's name. Writes to environment->out and ->err only.
int RunFairctl(std::vector<std::string> arguments, Environment* environment);

}  // namespace fairlead::fairctl
