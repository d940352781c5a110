// Finds the headers of one Ethernet frame without trusting any of its fields.
//
// Theory of operation. A balancer gets three kinds of frames: traffic for a frontend, ARP or
// neighbour solicitations for a frontend, and everything else, which goes to the kernel. Only the
// lookup of the destination tells whether a frame is for a frontend, so the parser does not decide:
// it reports what it found. `kind` tells what the frame is, or that its destination address cannot
// be read (kUnreadable). `defect` is its first fault, in the order below. The lookup then makes the
// verdict: a frame that is not for a frontend goes to the kernel, whatever its defect. A frame for
// a frontend is dropped with its defect. Only a kUnreadable frame is dropped without a lookup.
//
// Worked packet: 14 bytes of Ethernet, 20 of IPv4 (total length 60), 40 of TCP with options:
//   l3_offset 14, l4_offset 34, l3_length 60, kind kIpv4, l4_protocol 6, tcp_flags from byte 47.
//
// If a frame has several defects, the first of this list is reported.
//   1. bad_ip_version     differs from the ethertype
//   2. bad_ip_header      IPv4: IHL below 5, or the header ends past the frame
//   3. bad_ip_length      total length below the header, past the frame, or above 65,535 (IPv6)
//   4. bad_extension      IPv6, header by header
//   5. bad_source         IpAddress::IsUnusable; except :: in a neighbour solicitation
//   6. ttl_zero
//   7. fragment           IPv4: offset + total length above 65,535; IPv6: offset + payload length
//                         without the fragment header above 65,535 (RFC 8200, 4.5)
//   8. unsupported_protocol   also next header 59, ICMPv6 in IPv4 and ICMP in IPv6
//   9. transport: fragment (a first one without 20 bytes of TCP or 8 of UDP), bad_tcp_header,
//      bad_udp_header, bad_icmp (below 8 bytes), zero_udp_checksum, port_zero
//
// The parser walks these IPv6 extension headers: hop-by-hop (first only), destination options,
// routing with segments left 0, fragment (at most one; an atomic one, RFC 6946, is transparent) and
// AH; at most 8 headers and 256 bytes (RFC 8200, RFC 7112). It walks the options of a hop-by-hop
// header to find the jumbo payload option (RFC 2675). It reads nothing after the fragment header of
// a later fragment: in IPv6 its next header may have any value and is not checked.
//
// A first fragment needs only 20 bytes of TCP or 8 of UDP. The TCP options and the rest of the UDP
// datagram may be in later fragments.
//
// Pure function of the bytes; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/counters/drop_reason.h"
#include "lib/net/flow_key.h"
#include "lib/net/headers.h"

namespace fairlead {

inline constexpr uint32_t kMaxVlanTags = 2;
inline constexpr uint32_t kMaxExtensionHeaders = 8;
inline constexpr uint32_t kMaxExtensionBytes = 256;

enum class FrameKind : uint8_t {
  // `defect` tells why: truncated (the frame ends before the end of the destination address), or
  // vlan_depth (more than kMaxVlanTags tags).
  kUnreadable,
  kOther,  // neither IP nor ARP: LLDP, unknown tag types, ... (to_kernel)
  kArp,    // the ARP packet is at l3_offset; complete if `defect` is kNone, else truncated
  kIpv4,
  kIpv6,
};

// With a defect, only kind, defect, group_mac, vlan_count and l3_offset are set. All other fields
// are zero, so that no unchecked value can be used by mistake.
struct ParsedPacket {
  FrameKind kind = FrameKind::kUnreadable;
  DropReason defect = DropReason::kNone;
  uint8_t l4_protocol = 0;  // IANA number; valid for IP if `defect` is kNone
  uint8_t tcp_flags = 0;
  uint8_t vlan_count = 0;
  bool group_mac = false;       // destination MAC is broadcast or multicast
  bool is_fragment = false;     // a fragment, but not an atomic IPv6 one
  bool later_fragment = false;  // fragment offset above 0: has no L4 header
  bool has_payload = false;     // L4 payload of at least one byte
  bool has_ah = false;
  uint16_t l3_offset = 0;  // from the frame's start, bytes
  uint16_t l4_offset = 0;  // from the frame's start, bytes; valid if `defect` is kNone
  uint16_t l3_length = 0;  // the IP packet with its header, by its length field, bytes
};

// Parses `frame[0 .. linear_length)`. `frame_length` is the whole frame's length, which is larger
// if only the first bytes are contiguous. REQUIRES linear_length <= frame_length. A header beyond
// linear_length but inside frame_length gives kUnreadable or the defect truncated, so the caller
// makes at least kMaxHeaderBytes contiguous first. Fills `packet`, and `key` as follows:
//   TCP and UDP without defect: the 5-tuple, source and destination as on the wire
//   other IP packets without defect: addresses and protocol, ports 0
//   IP packets with a defect: only the addresses
//   all other kinds: unchanged
void ParseFrame(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                ParsedPacket* packet, FlowKey* key);

// Ethernet + 2 tags + IPv6 + extension headers + longest TCP header.
inline constexpr uint32_t kMaxHeaderBytes = 14 + 8 + 40 + 256 + 60;

// A second, slow and simple implementation of the same contract. The differential test and the
// fuzzer compare ParseFrame with it.
void ParseFramePlain(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                     ParsedPacket* packet, FlowKey* key);

namespace parse_internal {
// Parses any frame from the Ethernet header on. ParseFrame uses it for what ParseCommon does not
// handle.
void ParseFrameGeneral(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                       ParsedPacket* packet, FlowKey* key);
}  // namespace parse_internal

}  // namespace fairlead

#include "lib/net/parse_common.h"

namespace fairlead {

inline void ParseFrame(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                       ParsedPacket* packet, FlowKey* key) {
  if (!ParseCommon(frame, linear_length, frame_length, packet, key)) {
    parse_internal::ParseFrameGeneral(frame, linear_length, frame_length, packet, key);
  }
}

}  // namespace fairlead
