// Announcements: frames that tell that an address is at the port's MAC now, and that the port wants
// to receive the neighbour solicitations for it.
//
//   gratuitous ARP             RFC 5227, 2.3 (ARP announcement), 42 bytes
//   unsolicited advertisement  RFC 4861, 7.2.6, with the override flag, to all nodes, 86 bytes
//   membership report          RFC 3810 (MLDv2), 5.2: the address's solicited-node group (RFC 4291,
//                              2.7.1), any source; from the port's link-local address, 90 bytes
//
// In a VLAN, each has a tag (802.1Q, priority 0) of 4 more bytes.
//
// Pure functions. Frames are complete and without padding.
#pragma once

#include <cstdint>

#include "lib/net/address.h"

namespace fairlead {

inline constexpr uint32_t kMaxAnnouncementFrame = 96;

// In place of a VLAN: without a tag.
inline constexpr uint16_t kUntagged = 0;

// ff02::1:ffXX:XXXX. REQUIRES an IPv6 address.
IpAddress SolicitedNodeGroup(const IpAddress& address);

// Both write a frame to `out`, which has space for kMaxAnnouncementFrame bytes, and return its
// length. `mac`: the port's. `vlan`: kUntagged, or 1 to 4094.
// Writes a gratuitous ARP or an unsolicited advertisement, by the address's family.
uint32_t MakeAnnouncement(const IpAddress& address, const MacAddress& mac, uint16_t vlan,
                          uint8_t* out);
// REQUIRES an IPv6 address.
uint32_t MakeMembershipReport(const IpAddress& address, const MacAddress& mac, uint16_t vlan,
                              uint8_t* out);

}  // namespace fairlead
