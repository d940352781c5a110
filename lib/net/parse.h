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
#include <cstring>

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

template <typename T>
inline T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

inline uint32_t Swap16(uint64_t raw) { return __builtin_bswap16(static_cast<uint16_t>(raw)); }

// A packet without defect, stored as two words: a dozen single stores would be a fifth of the
// parser's work.
inline void SetCommon(FrameKind kind, uint8_t protocol, uint8_t tcp_flags, bool has_payload,
                      uint32_t l4_offset, uint32_t l3_length, ParsedPacket* packet) {
  static_assert(
      sizeof(ParsedPacket) == 16 && offsetof(ParsedPacket, l4_protocol) == 2 &&
      offsetof(ParsedPacket, tcp_flags) == 3 && offsetof(ParsedPacket, has_payload) == 8 &&
      offsetof(ParsedPacket, l3_offset) == 10 && offsetof(ParsedPacket, l3_length) == 14 &&
      static_cast<int>(DropReason::kNone) == 0);
  const uint64_t low =
      static_cast<uint64_t>(kind) | uint64_t{protocol} << 16 | uint64_t{tcp_flags} << 24;
  const uint64_t high = static_cast<uint64_t>(has_payload) |
                        uint64_t{sizeof(EthernetHeader)} << 16 | uint64_t{l4_offset} << 32 |
                        uint64_t{l3_length} << 48;
  auto* const bytes = reinterpret_cast<uint8_t*>(packet);
  std::memcpy(bytes, &low, sizeof(low));
  std::memcpy(bytes + sizeof(low), &high, sizeof(high));
}

struct Transport {
  uint8_t tcp_flags = 0;
  bool has_payload = false;
};

// TCP or UDP at `l4`, behind `ip_bytes` of IP header in a packet of `total` bytes. Inlined always: a
// call would cost more than it does.
template <bool kNeedsChecksum>
[[gnu::always_inline]] inline bool ParseCommonTransport(const uint8_t* l4, uint8_t protocol,
                                                        uint32_t ip_bytes, uint32_t total,
                                                        Transport* transport) {
  uint32_t headers;
  uint32_t end = total;
  if (protocol == kIpProtoTcp) {
    headers = ip_bytes + (uint32_t{l4[12]} >> 4) * 4;
    if (headers < ip_bytes + sizeof(TcpHeader)) return false;
    transport->tcp_flags = l4[13];
  } else if (protocol == kIpProtoUdp) {
    headers = ip_bytes + sizeof(UdpHeader);
    end = ip_bytes + Swap16(Load<uint16_t>(l4 + 4));
    if (end < headers || end > total) return false;
    if (kNeedsChecksum && Load<uint16_t>(l4 + 6) == 0) return false;
  } else {
    return false;
  }
  transport->has_payload = end > headers;
  return headers <= total;
}

// ParseCommon for IPv4: fields as they lie in a few little-endian words, one test each. The tests
// are branches that nearly always go the same way: compare and jump are one operation of the
// processor, while gathering the outcomes would be three.
inline bool ParseCommonIpv4(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                            ParsedPacket* packet, FlowKey* key) {
  constexpr uint32_t kL3 = sizeof(EthernetHeader);
  constexpr uint32_t kIp = sizeof(Ipv4Header);
  if (linear_length < kL3 + kIp + sizeof(TcpHeader)) return false;
  const auto front = Load<uint64_t>(frame + 12);   // ethertype, version/IHL, TOS, length, id
  const auto middle = Load<uint64_t>(frame + 20);  // flags/offset, TTL, protocol, checksum, ...
  const auto addresses = Load<uint64_t>(frame + 26);
  const auto ports = Load<uint32_t>(frame + kL3 + kIp);
  const uint32_t total = Swap16(front >> 32);
  const auto source_first = static_cast<uint8_t>(addresses);
  if ((front & 0xff0000) != 0x450000) return false;
  if ((middle & 0xff3f) != 0) return false;    // more fragments, offset
  if ((middle & 0xfe0000) == 0) return false;  // TTL 0 or 1
  if (static_cast<uint8_t>(source_first - 1) >= 223 || source_first == 127) return false;
  if ((ports & 0xffff) == 0 || ports >> 16 == 0) return false;
  if (total > frame_length - kL3) return false;
  const uint8_t* l4 = frame + kL3 + kIp;
  const auto protocol = static_cast<uint8_t>(middle >> 24);
  Transport transport;
  if (!ParseCommonTransport<false>(l4, protocol, kIp, total, &transport)) return false;
  SetCommon(FrameKind::kIpv4, protocol, transport.tcp_flags, transport.has_payload, kL3 + kIp,
            total, packet);
  key->words[0] = addresses;
  key->words[1] = ports | uint64_t{protocol} << 32;
  key->size_bytes = 16;
  return true;
}

// ParseCommon for IPv6. A source that begins with 8 zero bytes may be anything: not common.
inline bool ParseCommonIpv6(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                            ParsedPacket* packet, FlowKey* key) {
  constexpr uint32_t kL3 = sizeof(EthernetHeader);
  constexpr uint32_t kIp = sizeof(Ipv6Header);
  if (linear_length < kL3 + kIp + sizeof(TcpHeader)) return false;
  const auto lengths = Load<uint32_t>(frame + kL3 + 4);  // payload length, next header, hop limit
  const auto source_high = Load<uint64_t>(frame + kL3 + 8);
  const auto ports = Load<uint32_t>(frame + kL3 + kIp);
  const uint32_t total = kIp + Swap16(lengths);
  if ((frame[kL3] & 0xf0) != 0x60) return false;
  if (lengths >> 25 == 0) return false;  // hop limit 0 or 1
  if (source_high == 0 || static_cast<uint8_t>(source_high) == 0xff) return false;
  if ((ports & 0xffff) == 0 || ports >> 16 == 0) return false;
  if (total > frame_length - kL3 || total > 65535) return false;
  const uint8_t* l4 = frame + kL3 + kIp;
  const auto protocol = static_cast<uint8_t>(lengths >> 16);
  Transport transport;
  if (!ParseCommonTransport<true>(l4, protocol, kIp, total, &transport)) return false;
  SetCommon(FrameKind::kIpv6, protocol, transport.tcp_flags, transport.has_payload, kL3 + kIp,
            total, packet);
  std::memcpy(key->words.data(), frame + kL3 + 8, 32);
  key->words[4] = ports | uint64_t{protocol} << 32;
  key->size_bytes = 40;
  return true;
}

}  // namespace parse_internal

// Nearly all traffic, in few instructions: an untagged unicast frame with TCP or UDP in IPv4 without
// options or IPv6 without extension headers, no fragment, nothing wrong, TTL or hop limit above 1.
// True: packet and key are filled as by ParseFrame. False: nothing was written, and ParseFrame finds
// out why.
inline bool ParseCommon(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                        ParsedPacket* packet, FlowKey* key) {
  if (linear_length < sizeof(EthernetHeader) || (frame[0] & 1) != 0) return false;
  const auto ether_type = parse_internal::Load<uint16_t>(frame + 12);
  if (ether_type == 0x0008) {
    return parse_internal::ParseCommonIpv4(frame, linear_length, frame_length, packet, key);
  }
  return ether_type == 0xdd86 &&
         parse_internal::ParseCommonIpv6(frame, linear_length, frame_length, packet, key);
}

inline void ParseFrame(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                       ParsedPacket* packet, FlowKey* key) {
  if (!ParseCommon(frame, linear_length, frame_length, packet, key)) {
    parse_internal::ParseFrameGeneral(frame, linear_length, frame_length, packet, key);
  }
}

}  // namespace fairlead
