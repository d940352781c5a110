#pragma once

#include <cerrno>
#include <cstring>
#include <string>

namespace fairlead {

// The text of errno, such as "No such file or directory".
inline std::string ErrorText() { return std::strerror(errno); }

}  // namespace fairlead
