// Reads ICMP errors about a flow: which flow, and where the quoted packet is.
//
// Theory of operation. A router or host that cannot deliver a packet returns an error (RFC 792,
// RFC 4443) that quotes the packet. Two kinds of error reach the balancer:
//   about a reply: to a frontend; it quotes the backend's reply, with source = the frontend;
//   about a request, nat only: to a client; it quotes what nat sent, destination = the backend.
// In both kinds, the address that the error is sent to is the source of the quoted packet. An error
// of which this is not true is forged or misdirected, and is dropped. The quoted flow with source
// and destination swapped has the same direction as the error, so it selects a backend as a packet
// of the flow does. For an error about a reply it is the 5-tuple from client to frontend. For an
// error about a request it is the 5-tuple from backend to client. An error never causes a record.
//
// Worked packet: "fragmentation needed" from router 192.0.2.254 about 203.0.113.10:80 ->
// 198.51.100.7:40000, untagged, IPv4 without options:
//   14  outer IPv4     192.0.2.254 -> 203.0.113.10, protocol 1
//   34  ICMP           3, 4, checksum, 0, next-hop MTU
//   42  quoted IPv4    203.0.113.10 -> 198.51.100.7, protocol 6     inner_l3_offset
//   62  quoted TCP     80, 40000, sequence (8 bytes are enough)     inner_l4_offset
//   key: tcp 198.51.100.7:40000 -> 203.0.113.10:80
//
// Pure functions of the bytes; any thread.
#pragma once

#include <cstdint>

#include "lib/counters/drop_reason.h"
#include "lib/net/flow_key.h"
#include "lib/net/parse.h"

namespace fairlead {

// The error types that are forwarded: 3, 11, 12 (RFC 792); 1-4 (RFC 4443). Source quench (RFC 6633)
// and redirect are not forwarded.
constexpr bool IsForwardedIcmpError(Family family, uint8_t type) {
  if (family == Family::kIpv4) return type == 3 || type == 11 || type == 12;
  return type >= 1 && type <= 4;
}

struct IcmpError {
  FlowKey key;                   // the quoted flow, source and destination swapped
  uint8_t protocol = 0;          // of the quoted packet: TCP or UDP
  uint16_t inner_l3_offset = 0;  // from the frame's start, bytes
  uint16_t inner_l4_offset = 0;
  uint16_t inner_l4_length = 0;  // bytes of L4 that are quoted, at least 8
};

// Reads the error in `frame`, of which `length` bytes are contiguous. Returns kNone, or why it is
// dropped:
//   fragment          the error itself is a fragment, so its checksum cannot be checked
//   icmp_unsupported  the type is not forwarded, or the quoted packet is neither TCP nor UDP
//   bad_icmp          wrong checksum, or not contiguous (the caller makes it contiguous)
//   bad_embedded      quoted packet cut before 8 bytes of L4, malformed, a later fragment, with a
//                     wrong IPv4 header checksum or a port 0, or not sent by the outer destination
// REQUIRES an IP packet without defect whose l4_protocol is its family's ICMP.
DropReason ReadIcmpError(const uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                         IcmpError* error);

}  // namespace fairlead
