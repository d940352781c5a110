// Reads and writes whole files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace fairlead::fairctl {

// Fails with the system's reason, or if the file is longer than `max_bytes`.
Result<std::string> ReadFile(const std::string& path, uint64_t max_bytes);

// OK if a file can be put in the place of `path`: it is a regular file, or does not exist. A rename
// would replace a device node such as /dev/null, or a symbolic link such as /dev/stdout, itself.
Status CheckReplaceable(const std::string& path);

// Writes a file beside `path` and renames it, so readers of `path` see the old content or the new.
// Fails if `path` is not replaceable.
Status WriteFile(const std::string& path, std::string_view content);

}  // namespace fairlead::fairctl
