#pragma once

#include <string>

#include "lib/base/result.h"

namespace fairlead {

// Reads a whole file that the operator named. It may be any kind of file, of any user. Errors:
// kNotFound, else kUnavailable. Messages begin with the path. Any thread.
Result<std::string> ReadTextFile(const std::string& path);

}  // namespace fairlead
