// What Fairlead answers itself for its frontends' addresses: ARP requests (RFC 826), neighbour
// solicitations (RFC 4861) and echo requests (RFC 792, RFC 4443). Each turns the frame in place
// into its reply.
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
};

// REQUIRES packet.kind kArp, or kIpv6 with l4_protocol ICMPv6 and no defect. `length`: contiguous
// bytes. ND rules of RFC 4861 7.1.1: hop limit 255, code 0, checksum right, options of nonzero
// length; a source of :: only to the solicited-node address and without a source link-layer option.
NeighbourView ReadArp(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);
NeighbourView ReadNeighbour(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Turn the request into the reply that says `mac` has the target. Returns the new frame length
// (never longer than the frame was, but for the advertisement's target link-layer option, which may
// need up to 8 bytes: REQUIRES `capacity` >= length + 8). VLAN tags stay. Replies go to the MAC the
// request came from.
uint32_t MakeArpReply(uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                      const MacAddress& mac);
uint32_t MakeNeighbourAdvertisement(uint8_t* frame, uint32_t length, uint32_t capacity,
                                    const ParsedPacket& packet, const MacAddress& mac);

// True when the packet is a whole, unfragmented echo request (code 0, checksum right).
bool IsEchoRequest(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Echo request -> echo reply: IPv4 options are not copied, TTL / hop limit 64. Returns the new
// frame length.
uint32_t MakeEchoReply(uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                       const MacAddress& mac);

}  // namespace fairlead
