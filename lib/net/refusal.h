// How a client is told that nobody serves it: TCP by a reset (RFC 9293, 3.10.7.1), UDP by ICMP port
// unreachable (icmp_generate.h).
//
// Worked packet: 198.51.100.7:40000 > 203.0.113.10:80, SYN, sequence number 1000, no data. Its reset:
//   203.0.113.10:80 > 198.51.100.7:40000, RST and ACK, sequence number 0, acknowledgement 1001.
// To a segment with ACK the reset's sequence number is what that acknowledged, and it has no ACK.
//
// Pure functions of the bytes; any worker.
#pragma once

#include <cstdint>

#include "lib/net/address.h"
#include "lib/net/parse.h"

namespace fairlead {

// Ethernet, two tags, the longer IP header, TCP.
inline constexpr uint32_t kMaxTcpResetFrame = 14 + 8 + 40 + 20;

// True when the sender of this packet may be told: whole TCP or UDP between single hosts, with a right
// checksum, and no reset. `length`: contiguous bytes at `frame`; false where they are less than the
// packet. REQUIRES an IP packet without defect.
bool MayRefuse(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Builds the reset into `out`, which has room for kMaxTcpResetFrame bytes and does not overlap
// `frame`, and returns the frame's length. It goes to the MAC that the packet came from, with the tags
// that it came with; its source is the packet's destination. `mac`: the port's. REQUIRES MayRefuse,
// and TCP.
uint32_t MakeTcpReset(const uint8_t* frame, const ParsedPacket& packet, const MacAddress& mac,
                      uint8_t* out);

}  // namespace fairlead
