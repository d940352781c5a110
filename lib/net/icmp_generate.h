// ICMP errors that Fairlead sends itself:
//   time exceeded: traceroute shows the balancer
//   packet too big (IPv4: fragmentation needed): path MTU discovery works
//   port unreachable: for UDP services without a usable backend, if configured
//
// Theory of operation. The error is built in a separate buffer, so the caller can drop the packet
// or use it for something else. The error goes to the MAC that the packet came from, with its tags,
// and quotes as much as fits into 576 bytes (RFC 1812, 4.3.2.3) or 1280 (RFC 4443, 2.4 c). It is
// built from the packet as received, before any rewriting, since the sender must recognise its own
// packet.
//
// Worked packet: a 1,514-byte frame, TCP in IPv4 with DF, for an ipip backend through an MTU of
// 1500 (PathMtu(1500, 20) = 1480):
//   0   Ethernet  destination: its source MAC; source: the port's
//   14  IPv4      45 c0 0240 0000 0000 40 01 <checksum> <source> <its source address>
//   34  ICMP      03 04 <checksum> 0000 05c8
//   42  the packet's first 548 bytes (576 - 20 - 8)
// 590 bytes. IPv4 TOS is 0xc0, internetwork control (RFC 1812, 4.3.2.5), TTL and hop limit 64.
//
// No error is sent about an ICMP error, a later fragment, a packet to a group MAC or address, or a
// packet whose source is not a single host's (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
//
// Pure functions of the bytes; any worker.
#pragma once

#include <cstdint>

#include "lib/base/result.h"
#include "lib/net/address.h"
#include "lib/net/parse.h"

namespace fairlead {

inline constexpr uint32_t kMaxIcmpErrorIpv4 = 576;   // IP packet, bytes
inline constexpr uint32_t kMaxIcmpErrorIpv6 = 1280;  // IP packet, bytes
// Ethernet, two tags, and the longer of the two packets.
inline constexpr uint32_t kMaxIcmpErrorFrame = 14 + 8 + kMaxIcmpErrorIpv6;

inline constexpr uint32_t kMinMtuIpv4 = 68;    // RFC 791
inline constexpr uint32_t kMinMtuIpv6 = 1280;  // RFC 8200, 5

enum class IcmpErrorKind : uint8_t {
  kTimeExceeded,     // 11, 0 (RFC 792); 3, 0 (RFC 4443, 3.3): TTL or hop limit exceeded in transit
  kTooBig,           // 3, 4 (RFC 1191, 4); 2, 0 (RFC 4443, 3.2)
  kPortUnreachable,  // 3, 3 (RFC 792); 1, 4 (RFC 4443, 3.1)
};

// True if an ICMP error may be sent about this packet. `length`: contiguous bytes at `frame`.
// REQUIRES an IP packet without defect.
bool MaySendIcmpError(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Builds the error in `out` and returns the frame's length. Returns 0 if no error may be sent, or
// if `capacity` is too small (kMaxIcmpErrorFrame always suffices). `frame`: the packet as received,
// of which `length` bytes are contiguous. Only these are quoted, so the caller first copies a
// packet of several segments together. `source`: the port's own address of the packet's family,
// else the frontend's. `mac`: the port's. `mtu`: the result of PathMtu, for kTooBig only. REQUIRES
// an IP packet without defect, and that `out` does not overlap `frame`.
uint32_t MakeIcmpError(IcmpErrorKind kind, const uint8_t* frame, uint32_t length,
                       const ParsedPacket& packet, const IpAddress& source, const MacAddress& mac,
                       uint32_t mtu, uint8_t* out, uint32_t capacity);

// The largest IP packet that fits the egress MTU with the mode's exact overhead. The overhead is 0
// for dsr and nat, and TunnelOverhead (lib/encap/tunnel.h) plus the reserve for second chance for
// tunnels. The result is both the limit and what is reported to clients. 0 if nothing fits.
constexpr uint32_t PathMtu(uint32_t egress_mtu, uint32_t overhead_bytes) {
  return egress_mtu > overhead_bytes ? egress_mtu - overhead_bytes : 0;
}

// For configuration: fails if PathMtu is below the minimum MTU of the clients' family.
Status CheckPathMtu(uint32_t egress_mtu, uint32_t overhead_bytes, Family client);

}  // namespace fairlead
