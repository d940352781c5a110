// What kinds of devices that stand for a kernel interface have in common.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/device/device.h"

namespace fairlead {

// The interface's name becomes the target. As DeviceKind::parse and DeviceKind::claim.
Status ParseInterface(std::string_view rest, DeviceSpec* spec);
std::string ClaimInterface(const DeviceSpec& spec);

}  // namespace fairlead
