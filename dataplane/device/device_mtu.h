// The MTU to configure on a NIC, so that it receives packets of the port's MTU behind two VLAN tags.
//
// A NIC drops longer frames than its limit. DPDK's drivers compute the limit from the MTU and add
// what they expect around a packet: Ethernet header and checksum (18 bytes), and no tag (ixgbe), one
// (e1000, igb) or two (i40e, ice). Where they count fewer than two, the NIC gets a larger MTU than
// the port. The port's MTU still limits what the dataplane sends.
//
// Worked example: igb has max_rx_pktlen 16,383 and max_mtu 16,361, so it adds 22 bytes. Two tags
// need 26. With a port's MTU of 1,500 the NIC's is 1,504, and igb sets the limit to 1,526. With
// 1,500 it would leave its limit at 1,522, and drop full-size frames with two tags.
#pragma once

#include <cstdint>

namespace fairlead {

// What the driver says of the NIC (rte_eth_dev_info).
struct NicLimits {
  uint32_t max_rx_pktlen = 0;  // bytes, with header and checksum; 0: unknown
  uint16_t max_mtu = 65535;    // 65535: unknown
};

struct DeviceMtu {
  uint16_t mtu = 0;          // to configure
  uint32_t frame_bytes = 0;  // the NIC then receives frames of this length, with checksum
  // The largest MTU of the port that leaves space for two tags. Less than the port's: the NIC may
  // drop tagged frames of full size.
  uint16_t most_with_tags = 0;
};

DeviceMtu DeviceMtuFor(uint16_t port_mtu, const NicLimits& limits);

}  // namespace fairlead
