// Requests that Fairlead answers itself for its frontends' addresses: ARP requests (RFC 826),
// neighbour solicitations (RFC 4861) and echo requests (RFC 792, RFC 4443). The reply is made in
// place of the request, in the same buffer.
//
// Worked example: an ARP request, 42 bytes, "who has 203.0.113.10? tell 198.51.100.7":
//   destination (bytes 0-5) <- source, source (bytes 6-11) <- the port's MAC, operation 1 -> 2,
//   target <- sender (MAC and IP), sender <- the port's MAC and 203.0.113.10.
#pragma once

#include <cstdint>

#include "lib/net/address.h"
#include "lib/net/parse.h"

namespace fairlead {

// Kinds of ARP and ND packets. No field of the packet is trusted.
enum class NeighbourKind : uint8_t {
  kNone,          // not about neighbours, or of no interest
  kRequest,       // who has `target`?
  kAnnouncement,  // the sender claims that `target` is at its MAC (reply, gratuitous ARP,
                  // advertisement)
  kMalformed,     // `target` may still be readable
};

struct NeighbourView {
  NeighbourKind kind = NeighbourKind::kNone;
  bool has_target = false;
  IpAddress target;
  // A question's sender claims this address, and receivers record it (RFC 826, RFC 4861 7.2.3). If
  // it is a frontend's, the question is an announcement as well. Unspecified (0.0.0.0, ::) in a
  // probe, and for all other kinds.
  IpAddress sender;
};

// REQUIRES packet.kind kArp, or kIpv6 with l4_protocol ICMPv6 and no defect. `length`: contiguous
// bytes. Solicitations follow RFC 4861 7.1.1: hop limit 255, code 0, correct checksum, options of
// nonzero length. A source of :: is only allowed to the solicited-node address and without a source
// link-layer option. Advertisements follow 7.1.2. Fragmented packets are malformed (RFC 6980).
NeighbourView ReadArp(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);
NeighbourView ReadNeighbour(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Both turn the request into a reply that tells that `mac` has the target, and return the new frame
// length. REQUIRES that ReadArp or ReadNeighbour returned kRequest. VLAN tags stay; padding is
// removed. The advertisement may be up to 8 bytes longer than the request, for the target
// link-layer option: REQUIRES `capacity` >= length + 8. The reply goes to the MAC that the request
// came from. The exception is an advertisement for a solicitation from :: (duplicate address
// detection), which goes to all nodes, in IP and Ethernet (RFC 4861, 7.2.4).
uint32_t MakeArpReply(uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                      const MacAddress& mac);
uint32_t MakeNeighbourAdvertisement(uint8_t* frame, uint32_t length, uint32_t capacity,
                                    const ParsedPacket& packet, const MacAddress& mac);

// True if the packet is a complete, unfragmented echo request (code 0, correct ICMP checksum,
// correct IPv4 header checksum). False for any packet that is not ICMP or has a defect.
bool IsEchoRequest(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Turns an echo request into its reply. IPv4 options and IPv6 extension headers are not copied. TTL
// or hop limit is 64. TOS or traffic class, IPv4 id and DF are the request's: if the reply must be
// cut, its id is as unique as the client made it. Returns the new frame length, without padding.
// REQUIRES IsEchoRequest, and a frontend's address as destination: it becomes the source.
uint32_t MakeEchoReply(uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                       const MacAddress& mac);

}  // namespace fairlead
