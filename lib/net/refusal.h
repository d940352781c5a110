// Refuses a client when no backend is usable: TCP with a reset (RFC 9293, 3.10.7.1), UDP with ICMP
// port unreachable (icmp_generate.h).
//
// Worked packet: 198.51.100.7:40000 > 203.0.113.10:80, SYN, sequence number 1000, no data. Its
// reset:
//   203.0.113.10:80 > 198.51.100.7:40000, RST and ACK, sequence number 0, acknowledgement 1001.
// If the segment has ACK, the reset's sequence number is the acknowledged one, and the reset has no
// ACK.
//
// Pure functions of the bytes; any worker.
#pragma once

#include <cstdint>

#include "lib/net/address.h"
#include "lib/net/parse.h"

namespace fairlead {

// Ethernet, two tags, the longer IP header, TCP.
inline constexpr uint32_t kMaxTcpResetFrame = 14 + 8 + 40 + 20;

// True if the sender of this packet may be refused: a complete TCP or UDP packet between single
// hosts, with a correct checksum, and not a reset. `length`: contiguous bytes at `frame`. False if
// these are less than the packet. REQUIRES an IP packet without defect.
bool MayRefuse(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Builds the reset in `out`, which has space for kMaxTcpResetFrame bytes and does not overlap
// `frame`. Returns the frame's length. The reset goes to the MAC that the packet came from, with
// the packet's tags. Its source is the packet's destination. `mac`: the port's. REQUIRES MayRefuse,
// and TCP.
uint32_t MakeTcpReset(const uint8_t* frame, const ParsedPacket& packet, const MacAddress& mac,
                      uint8_t* out);

}  // namespace fairlead
