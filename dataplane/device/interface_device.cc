#include "dataplane/device/interface_device.h"

namespace fairlead {

Status ParseInterface(std::string_view rest, DeviceSpec* spec) {
  constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ less the terminator
  if (rest.empty() || rest.size() > kMaxInterfaceName ||
      rest.find_first_of("/ ,") != std::string_view::npos) {
    return InvalidArgument("device '" + spec->text + "': '" + std::string(rest) +
                           "' is not an interface name");
  }
  spec->target = rest;
  return {};
}

std::string ClaimInterface(const DeviceSpec& spec) { return "interface " + spec.target; }

}  // namespace fairlead
