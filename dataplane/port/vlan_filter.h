// Makes a device pass the frames of all VLANs. A NIC with a VLAN filter drops tagged frames of VLANs
// that are not in its table, and counts them nowhere. The dataplane does not know which VLANs the
// clients use, so the filter is off, or its table has all VLANs. Main thread.
#pragma once

#include <rte_ethdev.h>

#include <cstdint>
#include <string>

namespace fairlead {

// The receive offload to request when the device is configured, or 0.
uint64_t VlanFilterOffload(const rte_eth_dev_info& info);

// Call it after the start of the device. `port`: for messages. Logs what it did. A failure is a
// warning: untagged frames pass all the same.
void PassAllVlans(uint16_t port_id, const std::string& port, const rte_eth_dev_info& info);

}  // namespace fairlead
