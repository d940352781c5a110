// Layer-2 direct server return: the packet goes to the backend's MAC, with its addresses and ports
// unchanged. The backend has the frontend's address on its loopback and answers the client
// directly.
//
// Inline: it is a dozen instructions, and a call would double the cost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lib/base/check.h"
#include "lib/encap/ethernet_macs.h"
#include "lib/net/headers.h"
#include "lib/net/parse.h"

namespace fairlead {

// Decrements the TTL and updates the checksum. TTL and protocol are one 16-bit word of the header,
// so the sum changes by one. In memory order, the TTL is the low byte of a 32-bit word whose upper
// half is the checksum. ~(~sum + ~word + word - 1) is sum + 1 in one's complement (RFC 1624,
// eqn. 3), where 0xffff is written as 0.
inline void DecrementTtl(Ipv4Header* ip) {
  static_assert(offsetof(Ipv4Header, ttl) + 2 == offsetof(Ipv4Header, checksum));
  DCHECK(ip->ttl > 1);
  uint32_t word;
  std::memcpy(&word, &ip->ttl, sizeof(word));
  word += (word >= 0xfffe0000 ? 0x20000U : 0x10000U) - 1;
  std::memcpy(&ip->ttl, &word, sizeof(word));
}

// Rewrites `frame` in place: sets the Ethernet addresses, decrements TTL or hop limit, updates the
// IPv4 checksum incrementally (RFC 1624; a wrong one stays wrong). `destination_mac`: of the
// backend's next hop, 6 bytes and 2 more that can be read. `source`: of the egress port. REQUIRES
// an IP packet with TTL or hop limit above 1.
inline void RewriteDsr(uint8_t* frame, const ParsedPacket& packet, const uint8_t* destination_mac,
                       const SourceMac& source) {
  DCHECK(packet.kind == FrameKind::kIpv4 || packet.kind == FrameKind::kIpv6);
  WriteMacs(frame, destination_mac, source);
  uint8_t* const l3 = frame + packet.l3_offset;
  if (packet.kind == FrameKind::kIpv4) {
    DecrementTtl(reinterpret_cast<Ipv4Header*>(l3));
  } else {
    auto* const ip = reinterpret_cast<Ipv6Header*>(l3);
    DCHECK(ip->hop_limit > 1);
    --ip->hop_limit;
  }
}

}  // namespace fairlead
