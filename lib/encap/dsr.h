// Layer-2 direct server return: the packet itself goes to the backend's MAC; addresses and ports
// stay, so the backend, which holds the frontend's address on its loopback, answers the client
// directly.
#pragma once

#include <cstdint>

#include "lib/net/parse.h"

namespace fairlead {

// Rewrites `frame` in place: Ethernet addresses, TTL or hop limit minus one, IPv4 checksum updated
// incrementally (RFC 1624; a wrong one stays wrong). `destination_mac`, `source_mac`: 6 bytes each,
// the backend's next hop and the egress port. REQUIRES an IP packet with TTL or hop limit above 1.
void RewriteDsr(uint8_t* frame, const ParsedPacket& packet, const uint8_t* destination_mac,
                const uint8_t* source_mac);

}  // namespace fairlead
