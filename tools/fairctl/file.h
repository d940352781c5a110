// Whole files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace fairlead::fairctl {

// Fails with the system's reason, or when the file is longer than `max_bytes`.
Result<std::string> ReadFile(const std::string& path, uint64_t max_bytes);

// Readers of `path` see the old content or the new, never a part: written beside it, then renamed.
Status WriteFile(const std::string& path, std::string_view content);

}  // namespace fairlead::fairctl
