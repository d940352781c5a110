#include "dataplane/port/lacp_bond.h"

#include <rte_dev.h>

#include <string>
#include <string_view>

namespace fairlead {

bool IsLacpBond(const rte_eth_dev_info& info) {
  if (std::string_view(info.driver_name) != "net_bonding") return false;
  const rte_devargs* arguments = rte_dev_devargs(info.device);
  if (arguments == nullptr || arguments->args == nullptr) return false;
  return ("," + std::string(arguments->args) + ",").find(",mode=4,") != std::string::npos;
}

}  // namespace fairlead
