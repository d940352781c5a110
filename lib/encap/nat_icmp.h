// ICMP errors through nat. Outer addresses, quoted packet and all checksums are translated, so that
// the receiver recognises its own packet (RFC 5508, 4.2; RFC 3022, 4.3).
//
//   forward   an error about a reply, from anywhere, to the frontend: the outer destination and the
//             quoted source become the backend, which sent the quoted packet from that address.
//   reverse   an error about a request, to the client: the quoted destination becomes the frontend
//             again. If the outer source is the backend, it becomes the frontend too. If it is a
//             router, it does not change.
//
// In the quoted packet, the IPv4 header checksum and the UDP checksum are updated (zero stays
// zero), and the TCP checksum if at least 18 bytes of TCP are quoted.
//
// Worked packet (forward, untagged IPv4, see lib/net/icmp_error.h), backend 10.0.0.11:8080:
//   30..33  outer destination     203.0.113.10 -> 10.0.0.11; 22: TTL minus one; 24..25: checksum
//   54..57  quoted source         203.0.113.10 -> 10.0.0.11; 52..53: its header checksum
//   62..63  quoted source port    80 -> 8080; 78..79: TCP checksum, if quoted
//   36..37  ICMP checksum         by all that changed after it
//
// Pure functions of the packet; any worker.
#pragma once

#include <cstdint>

#include "lib/encap/nat.h"
#include "lib/net/icmp_error.h"
#include "lib/net/parse.h"

namespace fairlead {

// Both set the Ethernet addresses (6 bytes each, not in `frame`) and decrement TTL or hop limit.
// REQUIRES `error` as ReadIcmpError filled it for this frame, and TTL or hop limit above 1.
void TranslateIcmpErrorToBackend(uint8_t* frame, const ParsedPacket& packet, const IcmpError& error,
                                 const NatEndpoint& backend, const uint8_t* destination_mac,
                                 const uint8_t* source_mac);
void TranslateIcmpErrorToClient(uint8_t* frame, const ParsedPacket& packet, const IcmpError& error,
                                const NatEndpoint& frontend, const uint8_t* destination_mac,
                                const uint8_t* source_mac);

}  // namespace fairlead
