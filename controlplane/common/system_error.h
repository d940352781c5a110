#pragma once

#include <string>

#include "lib/base/error_text.h"
#include "lib/base/result.h"

namespace fairlead {

// kUnavailable with errno's text: "WHAT: No such file or directory".
inline Status SystemError(const std::string& what) {
  return Unavailable(what + ": " + ErrorText());
}

}  // namespace fairlead
