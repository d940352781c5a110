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

// The source address of frames that leave by a port, as it lies in memory behind the destination: two
// bytes that make up 8 with that, and 4.
struct SourceMac {
  uint64_t first_two = 0;  // in the upper 16 bits
  uint32_t last_four = 0;

  static SourceMac Of(const uint8_t* mac) {
    uint16_t two;
    SourceMac source;
    std::memcpy(&two, mac, sizeof(two));
    std::memcpy(&source.last_four, mac + sizeof(two), sizeof(source.last_four));
    source.first_two = uint64_t{two} << 48;
    return source;
  }
};

// Rewrites `frame` in place: Ethernet addresses, TTL or hop limit minus one, IPv4 checksum updated
// incrementally (RFC 1624; a wrong one stays wrong). `destination_mac`: the backend's next hop's, 6
// bytes, and 2 more that can be read. `source`: the egress port's. REQUIRES an IP packet with TTL or hop
// limit above 1.
inline void RewriteDsr(uint8_t* frame, const ParsedPacket& packet, const uint8_t* destination_mac,
                       const SourceMac& source) {
  constexpr uint64_t kDestination = 0xffffffffffff;
  DCHECK(packet.kind == FrameKind::kIpv4 || packet.kind == FrameKind::kIpv6);
  uint64_t first_eight;
  std::memcpy(&first_eight, destination_mac, sizeof(first_eight));
  first_eight = (first_eight & kDestination) | source.first_two;
  std::memcpy(frame, &first_eight, sizeof(first_eight));
  std::memcpy(frame + sizeof(first_eight), &source.last_four, sizeof(source.last_four));
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
