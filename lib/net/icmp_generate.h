// ICMP errors that Fairlead sends itself: time exceeded, and packet too big (IPv4: fragmentation
// needed), so that traceroute shows the balancer and path MTU discovery finds no black hole; and port
// unreachable for UDP services without a backend that wish it.
//
// Theory of operation. The error is built into a buffer of its own: the packet it is about may be
// dropped, or be needed for something else, independently. It returns to the MAC it came from, with
// the tags it came with, and quotes as much as fits into 576 bytes (RFC 1812, 4.3.2.3) or 1280
// (RFC 4443, 2.4 c). It is built from the packet as received, before any rewriting: the sender must
// find its own packet quoted.
//
// Worked packet: a 1,514-byte frame, TCP in IPv4 with DF, for an ipip backend behind an MTU of 1500
// (so PathMtu(1500, 20) = 1480 is what fits):
//   0   Ethernet  destination: its source MAC; source: the port's
//   14  IPv4      45 c0 0240 0000 0000 40 01 <checksum> <source> <its source address>
//   34  ICMP      03 04 <checksum> 0000 05c8
//   42  the packet's first 548 bytes (576 - 20 - 8)
// 590 bytes. IPv4 TOS is 0xc0, internetwork control (RFC 1812, 4.3.2.5), TTL and hop limit 64.
//
// When none may be sent (RFC 1122, 3.2.2; RFC 4443, 2.4 e): about an ICMP error, a later fragment, a
// packet that came to a group MAC or address, or one whose source is not a single host's.
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
// Ethernet, two tags, and the longer of the two.
inline constexpr uint32_t kMaxIcmpErrorFrame = 14 + 8 + kMaxIcmpErrorIpv6;

inline constexpr uint32_t kMinMtuIpv4 = 68;    // RFC 791
inline constexpr uint32_t kMinMtuIpv6 = 1280;  // RFC 8200, 5

enum class IcmpErrorKind : uint8_t {
  kTimeExceeded,     // 11, 0 (RFC 792); 3, 0 (RFC 4443, 3.3): TTL or hop limit exceeded in transit
  kTooBig,           // 3, 4 (RFC 1191, 4); 2, 0 (RFC 4443, 3.2)
  kPortUnreachable,  // 3, 3 (RFC 792); 1, 4 (RFC 4443, 3.1)
};

// True when an ICMP error may be sent about this packet. `length`: contiguous bytes at `frame`.
// REQUIRES an IP packet without defect.
bool MaySendIcmpError(const uint8_t* frame, uint32_t length, const ParsedPacket& packet);

// Builds the error into `out` and returns the frame's length; 0 when none may be sent or `capacity`
// (kMaxIcmpErrorFrame always suffices) is too small. `frame`: the packet as received, of which
// `length` bytes are contiguous; no more is quoted, so the caller copies together what lies in
// several segments. `source`: the port's own address of the packet's family, else the frontend's.
// `mac`: the port's. `mtu`: kTooBig only, what PathMtu says. REQUIRES an IP packet without defect,
// and that `out` does not overlap `frame`.
uint32_t MakeIcmpError(IcmpErrorKind kind, const uint8_t* frame, uint32_t length,
                       const ParsedPacket& packet, const IpAddress& source, const MacAddress& mac,
                       uint32_t mtu, uint8_t* out, uint32_t capacity);

// The largest IP packet that fits the egress MTU after the mode's exact overhead: dsr and nat 0,
// tunnels TunnelOverhead (lib/encap/tunnel.h) plus the second chance's reserve. It is both the limit
// and what is reported. 0 when nothing fits.
constexpr uint32_t PathMtu(uint32_t egress_mtu, uint32_t overhead_bytes) {
  return egress_mtu > overhead_bytes ? egress_mtu - overhead_bytes : 0;
}

// For configuration: fails when clients of that family could not be told a legal MTU.
Status CheckPathMtu(uint32_t egress_mtu, uint32_t overhead_bytes, Family client);

}  // namespace fairlead
