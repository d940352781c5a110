// A bond in mode 4 (802.3ad): what DPDK's net_bonding leaves to its application there.
//
//   LACP frames   are sent only while the application calls rte_eth_tx_burst, however little it has
//                 to send. Else the switch takes the members out of the bond (PortQueues).
//   MAC address   Each member keeps its own, and its filter drops what the switch sends to the
//                 bond's through it. In other modes, members get the bond's (OpenFilters).
#pragma once

#include <rte_ethdev.h>

namespace fairlead {

// True if the device is such a bond, created by --vdev=net_bonding0,mode=4,... Main thread.
bool IsLacpBond(const rte_eth_dev_info& info);

}  // namespace fairlead
