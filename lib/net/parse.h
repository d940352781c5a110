// Finds the headers of one Ethernet frame without trusting any of its fields.
//
// Theory of operation. A balancer sees three kinds of frame: traffic for a frontend, neighbour
// questions about a frontend, and everything else, which is the kernel's. Whether a frame is for a
// frontend is known only after its destination has been looked up, so the parser never decides on
// its own: it reports how far it came. `kind` says what could be read; `defect` the first thing
// wrong behind the destination address. Lookup turns that into a verdict: not a frontend ->
// to_kernel whatever the defect; a frontend -> drop with `defect`. Only a frame whose destination
// cannot be read (kUnreadable) is dropped at once.
//
// Worked packet: 14 bytes of Ethernet, 20 of IPv4 (total length 60), 40 of TCP with options:
//   l3_offset 14, l4_offset 34, l3_length 60, kind kIpv4, l4_protocol 6, tcp_flags from byte 47.
//
// Which defect, when there are several: the first of this list.
//   1. bad_ip_version     against the ethertype
//   2. bad_ip_header      IPv4: IHL below 5 or past the frame
//   3. bad_ip_length      total length below the header, past the frame, or above 65,535 (IPv6)
//   4. bad_extension      IPv6, header by header
//   5. bad_source         IpAddress::IsUnusable; but a neighbour solicitation may come from ::
//   6. ttl_zero
//   7. fragment           IPv4: offset + total length above 65,535; IPv6: offset + payload length
//                         above 65,535 (RFC 8200, 4.5)
//   8. unsupported_protocol   also next header 59, ICMPv6 in IPv4 and ICMP in IPv6
//   9. transport: fragment (first one without 20 bytes of TCP, 8 of UDP), bad_tcp_header,
//      bad_udp_header, bad_icmp (below 8 bytes), zero_udp_checksum, port_zero
//
// IPv6 extension headers walked: hop-by-hop (first only), destination options, routing with
// segments left 0, fragment (at most one; an atomic one, RFC 6946, is transparent), AH; at most 8
// headers and 256 bytes (RFC 8200, RFC 7112). A hop-by-hop header's options are walked for the
// jumbo payload option (RFC 2675). Behind a later fragment's header nothing is read: in IPv6 its
// next header may be anything and is not judged.
//
// A first fragment need hold only 20 bytes of TCP or 8 of UDP: options, and what the UDP length
// promises, may follow in later ones.
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
  kUnreadable,  // cut before the destination address: drop, `defect` says why
  kOther,       // not IP, not ARP: LLDP, unknown tag types, ... (to_kernel)
  kArp,         // l3_offset is the ARP packet; complete when `defect` is kNone
  kIpv4,
  kIpv6,
};

// With a defect, only kind, defect, group_mac, vlan_count and l3_offset say something; the rest is
// zero, so that nothing half-checked can be used by mistake.
struct ParsedPacket {
  FrameKind kind = FrameKind::kUnreadable;
  DropReason defect = DropReason::kNone;
  uint8_t l4_protocol = 0;  // IANA; valid when IP and `defect` is kNone
  uint8_t tcp_flags = 0;
  uint8_t vlan_count = 0;
  bool group_mac = false;       // destination MAC is broadcast or multicast
  bool is_fragment = false;     // of a datagram of several (an atomic IPv6 fragment is not)
  bool later_fragment = false;  // fragment offset above 0: no L4 header here
  bool has_payload = false;     // L4 payload of at least one byte
  bool has_ah = false;
  uint16_t l3_offset = 0;  // from the frame's start, bytes
  uint16_t l4_offset = 0;  // from the frame's start; valid when defect is kNone
  uint16_t l3_length = 0;  // IP packet incl. header as its length field says, bytes
};

// Parses `frame[0 .. linear_length)`. `frame_length` is the whole frame's length, which is larger
// when only its first bytes are contiguous. REQUIRES linear_length <= frame_length; a header that
// lies beyond linear_length but inside frame_length gives kUnreadable or a truncated defect, so the
// caller makes at least kMaxHeaderBytes contiguous first. Fills `packet` and, for TCP and UDP with
// no defect, `key` (5-tuple; source and destination as on the wire). For other IP packets without a
// defect `key` has the addresses and protocol with ports 0, with a defect only the addresses; for
// all other kinds it is untouched.
void ParseFrame(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                ParsedPacket* packet, FlowKey* key);

// Ethernet + 2 tags + IPv6 + extension headers + longest TCP header.
inline constexpr uint32_t kMaxHeaderBytes = 14 + 8 + 40 + 256 + 60;

// A second, deliberately slow and simple implementation of the same contract; the differential test
// and the fuzzer hold ParseFrame against it.
void ParseFramePlain(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                     ParsedPacket* packet, FlowKey* key);

namespace parse_internal {
// Everything, from the Ethernet header on; what ParseFrame falls back to.
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
