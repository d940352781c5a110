// Runs another program and waits for its end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace fairlead::fairctl {

struct ProgramResult {
  int status = 0;  // exit status; 128 + N if signal N ended it
  std::string out;
  std::string err;
};

// `command`: the program, found as a shell finds it, and its arguments. No shell is involved. The
// program gets no input. kNotFound: there is no such program.
Result<ProgramResult> RunProgram(const std::vector<std::string>& command);

// True if this process is root, or if process `pid` runs and is of the same user.
bool MayActFor(uint64_t pid);

}  // namespace fairlead::fairctl
