// The payloads of the check type `udp`.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace fairlead {

inline constexpr size_t kMaxUdpCheckBytes = 512;

// The bytes of `send` or `reply`: "ping" as it is, or "hex:0a1b". Fails if it is not valid.
Result<std::string> ParseUdpPayload(std::string_view text);

}  // namespace fairlead
