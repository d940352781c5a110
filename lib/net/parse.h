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
// IPv6 extension headers walked: hop-by-hop (first only), destination options, routing with
// segments left 0, fragment (an atomic one, RFC 6946, is transparent), AH; at most 8 headers and
// 256 bytes (RFC 8200, RFC 7112).
//
// Pure function of the bytes; any thread.
#pragma once

#include <cstdint>

#include "lib/counters/drop_reason.h"
#include "lib/net/flow_key.h"

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
// no defect, `key` (5-tuple; source and destination as on the wire). For other IP packets `key` has
// the addresses and protocol with ports 0, for kArp it is untouched.
void ParseFrame(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                ParsedPacket* packet, FlowKey* key);

// Ethernet + 2 tags + IPv6 + extension headers + longest TCP header.
inline constexpr uint32_t kMaxHeaderBytes = 14 + 8 + 40 + 256 + 60;

// A second, deliberately slow and simple implementation of the same contract; the differential test
// and the fuzzer hold ParseFrame against it.
void ParseFramePlain(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                     ParsedPacket* packet, FlowKey* key);

}  // namespace fairlead
