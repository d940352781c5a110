// The parser's fast path, for nearly all traffic. parse.h includes it.
//
// It uses SSE 4.1, which every CPU that Fairlead supports has (x86-64-v2).
#pragma once

#include <smmintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lib/net/flow_key.h"
#include "lib/net/headers.h"
#include "lib/net/parse.h"

namespace fairlead {

namespace parse_internal {

template <typename T>
inline T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

inline uint32_t Swap16(uint64_t raw) { return __builtin_bswap16(static_cast<uint16_t>(raw)); }

// The layout that the parsers below depend on. They store a whole ParsedPacket at once: a dozen
// single stores would take a fifth of their time.
static_assert(sizeof(ParsedPacket) == 16 && offsetof(ParsedPacket, l4_protocol) == 2 &&
              offsetof(ParsedPacket, tcp_flags) == 3 && offsetof(ParsedPacket, has_payload) == 8 &&
              offsetof(ParsedPacket, l3_offset) == 10 && offsetof(ParsedPacket, l4_offset) == 12 &&
              offsetof(ParsedPacket, l3_length) == 14 && static_cast<int>(DropReason::kNone) == 0);

struct TransportHeader {
  uint8_t tcp_flags = 0;
  bool has_payload = false;
};

// Parses TCP or UDP at `l4`, after `ip_bytes` of IP header in a packet of `total` bytes. False: the
// packet has another protocol or a defect, so the general parser must parse it. `kNeedsChecksum`: a
// UDP checksum of 0 is a defect (IPv6). Always inlined: a call would cost more than the function
// itself.
template <bool kNeedsChecksum>
[[gnu::always_inline]] inline bool ParseCommonTransport(const uint8_t* l4, uint8_t protocol,
                                                        uint32_t ip_bytes, uint32_t total,
                                                        TransportHeader* transport) {
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

// Stores a packet without defect. `varying` contains its l4_protocol and l3_length and is zero
// elsewhere.
inline void StoreParsed(__m128i varying, FrameKind kind, uint32_t l4_offset,
                        const TransportHeader& transport, ParsedPacket* packet) {
  const __m128i constant =
      _mm_setr_epi8(static_cast<char>(kind), 0, 0, 0, 0, 0, 0, 0, 0, 0, sizeof(EthernetHeader), 0,
                    static_cast<char>(l4_offset), 0, 0, 0);
  __m128i parsed = _mm_or_si128(varying, constant);
  parsed = _mm_insert_epi8(parsed, transport.tcp_flags, 3);
  parsed = _mm_insert_epi8(parsed, transport.has_payload, 8);
  std::memcpy(reinterpret_cast<uint8_t*>(packet), &parsed, sizeof(parsed));
}

// For each byte: not zero if (byte & mask) is outside low .. low + span, that is, if
// ((byte & mask) - low) modulo 256 is above span. The inner subtraction wraps, the outer one
// saturates at 0.
inline __m128i OutOfRange(__m128i bytes, __m128i mask, __m128i low, __m128i span) {
  return _mm_subs_epu8(_mm_sub_epi8(_mm_and_si128(bytes, mask), low), span);
}

// Checks bytes 12 to 27 of an untagged IPv4 frame:
//
//   0..1 ethertype   2 version, IHL   3 TOS   4..5 total length   6..7 identification
//   8..9 flags, fragment offset   10 TTL   11 protocol   12..13 checksum   14..15 source
//
// The ethertype is IPv4's, the version 4, IHL 5; more fragments and offset are 0; TTL 2..255; the
// source's first byte is 1..223.
inline __m128i Ipv4OutOfRange(__m128i front) {
  return OutOfRange(front, _mm_setr_epi8(-1, -1, -1, 0, 0, 0, 0, 0, 0x3f, -1, -1, 0, 0, 0, -1, 0),
                    _mm_setr_epi8(8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0),
                    _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<char>(253), 0, 0, 0,
                                  static_cast<char>(222), 0));
}

// Checks bytes 12 to 27 of an untagged IPv6 frame:
//
//   0..1 ethertype   2 version, class   3..5 class, flow label   6..7 payload length
//   8 next header    9 hop limit        10..15 source
//
// The ethertype is IPv6's, the version 6; hop limit 2..255; the source's first byte is below 255.
inline __m128i Ipv6OutOfRange(__m128i front) {
  constexpr auto kVersion = static_cast<char>(0xf0);
  return OutOfRange(front, _mm_setr_epi8(-1, -1, kVersion, 0, 0, 0, 0, 0, 0, -1, -1, 0, 0, 0, 0, 0),
                    _mm_setr_epi8(static_cast<char>(0x86), static_cast<char>(0xdd), 0x60, 0, 0, 0,
                                  0, 0, 0, 2, 0, 0, 0, 0, 0, 0),
                    _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<char>(253),
                                  static_cast<char>(254), 0, 0, 0, 0, 0));
}

// ParseCommon for IPv4.
[[gnu::always_inline]] inline bool ParseCommonIpv4(const uint8_t* frame, uint32_t linear_length,
                                                   uint32_t frame_length, ParsedPacket* packet,
                                                   FlowKey* key) {
  constexpr uint32_t kL3 = sizeof(EthernetHeader);
  constexpr uint32_t kIp = sizeof(Ipv4Header);
  if (linear_length < kL3 + kIp + sizeof(TcpHeader)) return false;
  const __m128i front = Load<__m128i>(frame + 12);
  const __m128i back = Load<__m128i>(frame + 26);  // source, destination, ports, 4 bytes more
  // Not zero in the lanes of a port that is 0.
  const __m128i no_port = _mm_subs_epu16(_mm_setr_epi16(0, 0, 0, 0, 1, 1, 0, 0), back);
  const __m128i wrong = _mm_or_si128(Ipv4OutOfRange(front), no_port);
  if (!_mm_testz_si128(wrong, wrong)) return false;
  if (frame[26] == 127) return false;  // the source is a loopback address
  const uint32_t total = Swap16(Load<uint16_t>(frame + kL3 + 2));
  if (total > frame_length - kL3) return false;
  const uint8_t protocol = frame[kL3 + 9];
  TransportHeader transport;
  if (!ParseCommonTransport<false>(frame + kL3 + kIp, protocol, kIp, total, &transport)) {
    return false;
  }
  // Moves protocol and total length to their fields of ParsedPacket; the length in host order.
  const __m128i varying = _mm_shuffle_epi8(
      front, _mm_setr_epi8(-1, -1, 11, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 5, 4));
  StoreParsed(varying, FrameKind::kIpv4, kL3 + kIp, transport, packet);
  // The key: the protocol replaces the bytes after the ports.
  const __m128i last = _mm_shuffle_epi8(
      front, _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 11, -1, -1, -1));
  const __m128i words = _mm_or_si128(_mm_and_si128(back, _mm_setr_epi32(-1, -1, -1, 0)), last);
  std::memcpy(key->words.data(), &words, sizeof(words));
  key->size_bytes = 16;
  return true;
}

// ParseCommon for IPv6. A source that begins with 8 zero bytes may be unusable, so it is left to
// the general parser.
[[gnu::always_inline]] inline bool ParseCommonIpv6(const uint8_t* frame, uint32_t linear_length,
                                                   uint32_t frame_length, ParsedPacket* packet,
                                                   FlowKey* key) {
  constexpr uint32_t kL3 = sizeof(EthernetHeader);
  constexpr uint32_t kIp = sizeof(Ipv6Header);
  if (linear_length < kL3 + kIp + sizeof(TcpHeader)) return false;
  const __m128i front = Load<__m128i>(frame + 12);
  const __m128i outside = Ipv6OutOfRange(front);
  if (!_mm_testz_si128(outside, outside)) return false;
  if (Load<uint64_t>(frame + kL3 + 8) == 0) return false;
  const auto ports = Load<uint32_t>(frame + kL3 + kIp);
  if ((ports & 0xffff) == 0 || ports >> 16 == 0) return false;
  const uint32_t total = kIp + Swap16(Load<uint16_t>(frame + kL3 + 4));
  if (total > frame_length - kL3 || total > 65535) return false;
  const uint8_t protocol = frame[kL3 + 6];
  TransportHeader transport;
  if (!ParseCommonTransport<true>(frame + kL3 + kIp, protocol, kIp, total, &transport))
    return false;
  const __m128i next_header = _mm_shuffle_epi8(
      front, _mm_setr_epi8(-1, -1, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  // Without optimisation the intrinsic is a macro, and GCC warns of its conversion to 16 bits.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
  const __m128i parsed = _mm_insert_epi16(next_header, static_cast<int>(total), 7);
#pragma GCC diagnostic pop
  StoreParsed(parsed, FrameKind::kIpv6, kL3 + kIp, transport, packet);
  const __m128i source = Load<__m128i>(frame + kL3 + 8);
  const __m128i destination = Load<__m128i>(frame + kL3 + 24);
  std::memcpy(key->words.data(), &source, sizeof(source));
  std::memcpy(key->words.data() + 2, &destination, sizeof(destination));
  key->words[4] = ports | uint64_t{protocol} << 32;
  key->size_bytes = 40;
  return true;
}

}  // namespace parse_internal

// Parses nearly all traffic in few instructions: an untagged frame with TCP or UDP in IPv4 without
// options or IPv6 without extension headers, not a fragment, without defect, TTL or hop limit above
// 1. True: packet and key are filled as ParseFrame would for a unicast MAC. The MAC itself is not
// read. False: nothing was written; the caller uses ParseFrame.
[[gnu::always_inline]] inline bool ParseCommonUnicast(const uint8_t* frame, uint32_t linear_length,
                                                      uint32_t frame_length, ParsedPacket* packet,
                                                      FlowKey* key) {
  return parse_internal::ParseCommonIpv4(frame, linear_length, frame_length, packet, key) ||
         parse_internal::ParseCommonIpv6(frame, linear_length, frame_length, packet, key);
}

// As ParseCommonUnicast, but false for a frame to a group MAC.
inline bool ParseCommon(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                        ParsedPacket* packet, FlowKey* key) {
  return linear_length >= sizeof(EthernetHeader) && (frame[0] & 1) == 0 &&
         ParseCommonUnicast(frame, linear_length, frame_length, packet, key);
}

}  // namespace fairlead
