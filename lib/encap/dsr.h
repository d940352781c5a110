// Layer-2 direct server return: the packet itself goes to the backend's MAC; addresses and ports
// stay, so the backend, which holds the frontend's address on its loopback, answers the client
// directly.
//
// Inline: a dozen instructions, which a call would double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lib/base/check.h"
#include "lib/encap/ethernet_macs.h"
#include "lib/net/headers.h"
#include "lib/net/parse.h"

namespace fairlead {

// Takes one from the TTL and lets the checksum follow. TTL and protocol are one 16-bit word of the
// header, and its sum moves by one: in the order that they lie in memory, TTL is the low byte of a
// 32-bit word whose upper half is the checksum. ~(~sum + ~word + word - 1) is sum + 1 in one's
// complement (RFC 1624, eqn. 3), where 0xffff is written as 0.
inline void DecrementTtl(Ipv4Header* ip) {
  static_assert(offsetof(Ipv4Header, ttl) + 2 == offsetof(Ipv4Header, checksum));
  DCHECK(ip->ttl > 1);
  uint32_t word;
  std::memcpy(&word, &ip->ttl, sizeof(word));
  word += (word >= 0xfffe0000 ? 0x20000U : 0x10000U) - 1;
  std::memcpy(&ip->ttl, &word, sizeof(word));
}

// Rewrites `frame` in place: Ethernet addresses, TTL or hop limit minus one, IPv4 checksum updated
// incrementally (RFC 1624; a wrong one stays wrong). `destination_mac`: the backend's next hop's, 6
// bytes, and 2 more that can be read. `source`: the egress port's. REQUIRES an IP packet with TTL or hop
// limit above 1.
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
