// Tunnels to a backend: IP in IP (RFC 2003, RFC 2473, RFC 4213) and GUE, variant 0
// (draft-ietf-intarea-gue-09). The inner packet is carried unchanged. The agent or the backend's
// kernel removes the outer headers and answers the client directly.
//
// Theory of operation. Each backend has a template of one cache line. It contains the outer
// headers, with zeros where packets differ, and the sum of the outer IPv4 header's fixed words.
// Encapsulating a packet is then one fixed-size copy in front of its IP header and a few stores:
// length, DSCP and ECN, inner protocol, entropy, and the IPv4 checksum, which is derived from the
// partial sum. One template serves inner packets of both families.
//
//   shape       outer headers                  overhead
//   ipip v4     IPv4                           20
//   gue  v4     IPv4, UDP, GUE base            32
//   ipip v6     IPv6                           40
//   gue  v6     IPv6, UDP, GUE base            52
//
// Outer IPv4: DF set, id 0 (RFC 6864, 4.1: atomic), TTL 64. Outer IPv6: hop limit 64, flow label
// from the flow's entropy (RFC 6438), never 0. Outer UDP: source port 49152-65535 from the entropy,
// checksum 0 on both families (RFC 6935) unless SetGueChecksum is called. DSCP and ECN are copied
// (RFC 6040, 4.1, normal mode).
//
// Worked packet: an untagged frame of 74 bytes (IPv4 of 60, TOS 0x02) to a gue backend over IPv4,
// entropy 0x8000000000000000. 32 bytes are prepended; the frame is 106 bytes long:
//   0   Ethernet  backend's MAC, port's MAC, 0800
//   14  IPv4      45 02 005c 0000 4000 40 11 <checksum> <source> <destination>
//   34  UDP       e000 17c0 0048 0000                (ports 57344 -> 6080, length 72)
//   42  GUE       00 04 0000                         (no options, inner protocol 4)
//   46  the inner packet, unchanged
//
// For second chance, `gue_data` is up to 124 bytes of GUE private data between the base header and
// the inner packet. Hlen counts it.
//
// Templates are made by the management thread and are immutable. Encapsulate: any worker, no state.
#pragma once

#include <cstdint>
#include <span>

#include "lib/base/result.h"
#include "lib/net/address.h"
#include "lib/net/parse.h"

namespace fairlead {

enum class TunnelKind : uint8_t { kIpip, kGue };

inline constexpr uint16_t kDefaultGuePort = 6080;  // IANA: gue
inline constexpr uint16_t kGueFirstSourcePort = 49152;
inline constexpr uint32_t kMaxGueDataBytes = 31 * 4;  // Hlen: 5 bits, in units of 4 bytes
inline constexpr uint32_t kMaxTunnelOverhead = 52;

// Bytes that a tunnel adds to an IP packet, without GUE data.
constexpr uint32_t TunnelOverhead(TunnelKind kind, Family outer) {
  const uint32_t ip = outer == Family::kIpv4 ? 20 : 40;
  return kind == TunnelKind::kIpip ? ip : ip + 12;
}

struct TunnelSettings {
  TunnelKind kind = TunnelKind::kIpip;
  IpAddress source;  // the port's own, or with source_prefix_bits the prefix (host bits zero)
  // ipip only. 0: `source` is used as it is. Else the host bits (of IPv6 at most the lower 64) come
  // from the flow's entropy, since a NIC hashes IPIP by the outer addresses only.
  uint8_t source_prefix_bits = 0;
  IpAddress destination;  // the backend
  uint16_t gue_port = kDefaultGuePort;
};

// One backend's outer headers; one cache line.
struct alignas(64) TunnelTemplate {
  uint8_t header[kMaxTunnelOverhead] = {};  // the first overhead_bytes count
  TunnelKind kind = TunnelKind::kIpip;
  uint8_t overhead_bytes = 0;
  uint16_t fixed_sum = 0;    // outer IPv4 header's fixed words, folded, wire order
  uint64_t source_mask = 0;  // of the source's last 4 (IPv4) or 8 bytes, wire order as loaded
};
static_assert(sizeof(TunnelTemplate) == 64);

// Fails with kInvalidArgument if the families differ, an address is unusable, the prefix has no
// host bits or has some set, or the port is 0.
Result<TunnelTemplate> MakeTunnelTemplate(const TunnelSettings& settings);

// Encapsulates the IP packet in `frame` and returns the number of bytes prepended. The new frame
// begins that many bytes before `frame`, with the same l3_offset and with l3_length larger by that
// number. Returns 0 and changes nothing if the `headroom_bytes` before `frame` do not suffice (drop
// no_headroom). Tags stay. The Ethernet addresses are set. The ethertype is the outer family's.
//
// The MACs must not be in `frame`. `entropy`: FlowHash::high. `gue_data`: kind gue only, a multiple
// of 4, at most kMaxGueDataBytes. REQUIRES an IP packet without defect, TTL or hop limit checked,
// and l3_length + overhead + data at most 65535 (any egress MTU ensures that). The caller trims
// padding: it sets the frame's length to l3_offset + l3_length before the call, or to prepended +
// l3_offset + l3_length after it.
uint32_t Encapsulate(const TunnelTemplate& tunnel, uint8_t* frame, uint32_t headroom_bytes,
                     const ParsedPacket& packet, uint64_t entropy, const uint8_t* destination_mac,
                     const uint8_t* source_mac, std::span<const uint8_t> gue_data = {});

// Fills in the outer UDP checksum, if configured; called after Encapsulate. `outer`: the outer IP
// header. `inner_sum`: ChecksumPartial over the whole inner packet, over all segments.
void SetGueChecksum(uint8_t* outer, uint64_t inner_sum);

}  // namespace fairlead
