#include "dataplane/device/interface_device.h"

#include <algorithm>

#include <net/if.h>

namespace fairlead {

Status ParseInterface(std::string_view rest, DeviceSpec* spec) {
  constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ less the terminator
  // The kernel refuses spaces, '/' and ':', and puts a number in place of %d. DPDK's arguments are
  // separated by commas.
  const auto is_bad = [](char c) {
    return c <= ' ' || c == 0x7f || c == '/' || c == ':' || c == '%' || c == ',';
  };
  if (rest.empty() || rest.size() > kMaxInterfaceName || rest == "." || rest == ".." ||
      std::ranges::any_of(rest, is_bad)) {
    return InvalidArgument("device '" + spec->text + "': '" + std::string(rest) +
                           "' is not an interface name");
  }
  spec->target = rest;
  return {};
}

bool InterfaceIsPresent(const DeviceSpec& spec) { return if_nametoindex(spec.target.c_str()) != 0; }

std::string ClaimInterface(const DeviceSpec& spec) { return "interface " + spec.target; }

}  // namespace fairlead
