// Functions that all device kinds for kernel interfaces share.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/device/device.h"

namespace fairlead {

// For DeviceKind::parse, DeviceKind::claim and DeviceKind::is_present. The interface's name becomes
// the target.
Status ParseInterface(std::string_view rest, DeviceSpec* spec);
std::string ClaimInterface(const DeviceSpec& spec);
bool InterfaceIsPresent(const DeviceSpec& spec);

}  // namespace fairlead
