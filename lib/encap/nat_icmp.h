// ICMP errors through nat: outer addresses, quoted packet and all checksums translated, so that the
// receiver finds its own packet quoted (RFC 5508, 4.2; RFC 3022, 4.3).
//
//   forward   about a reply, from anywhere, to the frontend: the outer destination and the quoted
//             source become the backend, which sent the quoted packet under that address.
//   reverse   about a request, to the client: the quoted destination becomes the frontend again; the
//             outer source too where it is the backend itself, while a router behind the balancer
//             keeps its own.
//
// What of the quoted packet is there is translated: its IPv4 header checksum, its UDP checksum
// (zero stays zero), its TCP checksum where 18 bytes of TCP are quoted.
//
// Worked packet (forward, untagged IPv4, see lib/net/icmp_error.h), backend 10.0.0.11:8080:
//   30..33  outer destination     203.0.113.10 -> 10.0.0.11; 22 TTL minus one; 24..25 follow
//   54..57  quoted source         203.0.113.10 -> 10.0.0.11; 52..53 its header checksum follows
//   62..63  quoted source port    80 -> 8080; 78..79 TCP checksum follows, where quoted
//   36..37  ICMP checksum         by all that changed behind it
//
// Pure functions of the packet; any worker.
#pragma once

#include <cstdint>

#include "lib/encap/nat.h"
#include "lib/net/icmp_error.h"
#include "lib/net/parse.h"

namespace fairlead {

// Both set the Ethernet addresses (6 bytes each, not in `frame`) and take one from TTL or hop limit.
// REQUIRES `error` as ReadIcmpError filled it for this very frame, and TTL or hop limit above 1.
void RewriteIcmpErrorForward(uint8_t* frame, const ParsedPacket& packet, const IcmpError& error,
                             const NatEndpoint& backend, const uint8_t* destination_mac,
                             const uint8_t* source_mac);
void RewriteIcmpErrorReverse(uint8_t* frame, const ParsedPacket& packet, const IcmpError& error,
                             const NatEndpoint& frontend, const uint8_t* destination_mac,
                             const uint8_t* source_mac);

}  // namespace fairlead
