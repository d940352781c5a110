// What Fairlead answers itself for its frontends' addresses: ARP requests (RFC 826), neighbour
// solicitations (RFC 4861) and echo requests (RFC 792, RFC 4443). Each turns the frame in place
// into its reply.
//
// Worked example: an ARP request, 42 bytes, "who has 203.0.113.10? tell 198.51.100.7":
//   bytes 0-5 destination <- 6-11, 6-11 source <- the port's MAC, operation 1 -> 2, target <-
//   sender (MAC and IP), sender <- the port's MAC and 203.0.113.10.
#pragma once

#include <cstdint>

#include "lib/net/address.h"
#include "lib/net/parse.h"

namespace fairlead {

// What an ARP or ND packet is, read without trusting it.
enum class NeighbourKind : uint8_t {
  kNone,          // not about neighbours, or none of our business
  kQuestion,      // who has `target`?
  kAnnouncement,  // somebody says that `target` is at its MAC (reply, gratuitous ARP,
                  // advertisement)
  kMalformed,     // `target` may still be readable
};

struct NeighbourView {
  NeighbourKind kind = NeighbourKind::kNone;
  bool has_target = false;
  IpAddress target;
  // A question's sender claims this address, and receivers note it (RFC 826, RFC 4861 7.2.3): when
  // it is a frontend's, the question is an announcement as well. Unspecified (0.0.0.0, ::) in a
  // probe, and for all other kinds.
  IpAddress sender;
};

// REQUIRES packet.kind kArp, or kIpv6 with l4_protocol ICMPv6 and no defect. `length`: contiguous
// bytes. ND rules of RFC 4861 7.1.1: hop limit 255, code 0, checksum right, options of nonzero
// length; a source of :: only to the solicited-node address and without a source link-layer option.
// Advertisements by 7.1.2. Fragmented ones are malformed (RFC 6980).
NeighbourView ReadArp(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);
NeighbourView ReadNeighbour(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Turn the request into the reply that says `mac` has the target. REQUIRES that ReadArp or
// ReadNeighbour said kQuestion. Returns the new frame length (never longer than the frame was, but
// for the advertisement's target link-layer option, which may need up to 8 bytes: REQUIRES
// `capacity` >= length + 8). VLAN tags stay, padding does not. Replies go to the MAC the request
// came from; but an advertisement for a solicitation from :: (duplicate address detection) has
// nobody to go to but all nodes (RFC 4861, 7.2.4), in IP and Ethernet.
uint32_t MakeArpReply(uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                      const MacAddress& mac);
uint32_t MakeNeighbourAdvertisement(uint8_t* frame, uint32_t length, uint32_t capacity,
                                    const ParsedPacket& packet, const MacAddress& mac);

// True when the packet is a whole, unfragmented echo request (code 0, ICMP checksum right, IPv4
// header checksum right). False for any packet that is not ICMP or has a defect.
bool IsEchoRequest(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Echo request -> echo reply: IPv4 options and IPv6 extension headers are not copied, TTL / hop
// limit 64. TOS or traffic class are the request's; so are the IPv4 id and DF: an id that the
// client made unique stays so if the reply has to be cut. Returns the new frame length, without
// padding. REQUIRES IsEchoRequest, and a frontend's address as destination: it becomes the source.
uint32_t MakeEchoReply(uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                       const MacAddress& mac);

}  // namespace fairlead
