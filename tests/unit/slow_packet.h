// Builds packets for tests byte by byte, and computes checksums 16 bits at a time, as RFC 1071
// defines them. It shares no code with lib/, so that lib/ is compared with another implementation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace fairlead::slow {

using Bytes = std::vector<uint8_t>;

// Argument-dependent lookup does not find it. Tests write `using slow::operator+`.
inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline uint16_t Get16(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}
inline void Put16(Bytes* bytes, size_t at, uint32_t value) {
  bytes->at(at) = static_cast<uint8_t>(value >> 8);
  bytes->at(at + 1) = static_cast<uint8_t>(value);
}
inline Bytes Slice(const Bytes& bytes, size_t from, size_t count) {
  return {bytes.begin() + static_cast<std::ptrdiff_t>(from),
          bytes.begin() + static_cast<std::ptrdiff_t>(from + count)};
}

// One's complement sum in host order. It is 0xffff if the bytes contain their correct checksum.
inline uint16_t Sum(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : uint32_t{bytes[i]};
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

inline Bytes Payload(size_t length, uint8_t first = 1) {
  Bytes bytes(length);
  for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<uint8_t>(first + i * 7);
  return bytes;
}

struct Tag {
  uint16_t type;
  uint16_t tci;
};

// Destination 02:00:00:00:00:01, source 02:00:00:00:00:02.
inline Bytes Ethernet(uint16_t ether_type, std::initializer_list<Tag> tags = {}) {
  Bytes bytes = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  for (const Tag& tag : tags) {
    bytes.resize(bytes.size() + 4);
    Put16(&bytes, bytes.size() - 4, tag.type);
    Put16(&bytes, bytes.size() - 2, tag.tci);
  }
  bytes.resize(bytes.size() + 2);
  Put16(&bytes, bytes.size() - 2, ether_type);
  return bytes;
}

struct Ip4 {
  Bytes source = {198, 51, 100, 7};
  Bytes destination = {203, 0, 113, 10};
  uint8_t protocol = 17;
  uint8_t tos = 0;
  uint8_t ttl = 64;
  uint16_t id = 0x1234;
  uint16_t flags_fragment = 0;
  Bytes options = {};  // length: a multiple of 4
};

inline Bytes MakeIp4(const Ip4& ip, const Bytes& payload) {
  Bytes bytes(20);
  bytes[0] = static_cast<uint8_t>(0x45 + ip.options.size() / 4);
  bytes[1] = ip.tos;
  Put16(&bytes, 2, static_cast<uint32_t>(20 + ip.options.size() + payload.size()));
  Put16(&bytes, 4, ip.id);
  Put16(&bytes, 6, ip.flags_fragment);
  bytes[8] = ip.ttl;
  bytes[9] = ip.protocol;
  for (size_t i = 0; i < 4; ++i) {
    bytes[12 + i] = ip.source.at(i);
    bytes[16 + i] = ip.destination.at(i);
  }
  bytes = bytes + ip.options;
  Put16(&bytes, 10, static_cast<uint16_t>(~Sum(bytes)));
  return bytes + payload;
}

struct Ip6 {
  Bytes source = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
  Bytes destination = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
  uint8_t next_header = 17;
  uint8_t traffic_class = 0;
  uint32_t flow_label = 0;
  uint8_t hop_limit = 64;
};

// `payload` includes the extension headers.
inline Bytes MakeIp6(const Ip6& ip, const Bytes& payload) {
  Bytes bytes(8);
  bytes[0] = static_cast<uint8_t>(0x60 | ip.traffic_class >> 4);
  bytes[1] = static_cast<uint8_t>(uint32_t{ip.traffic_class} << 4 | ip.flow_label >> 16);
  Put16(&bytes, 2, ip.flow_label & 0xffff);
  Put16(&bytes, 4, static_cast<uint32_t>(payload.size()));
  bytes[6] = ip.next_header;
  bytes[7] = ip.hop_limit;
  return bytes + ip.source + ip.destination + payload;
}

// Sum over pseudo header (RFC 9293 3.1, RFC 8200 8.1) and `l4`. It is 0xffff if the checksum of
// `l4` is correct.
inline uint16_t L4Sum(const Bytes& source, const Bytes& destination, uint8_t protocol,
                      const Bytes& l4) {
  Bytes pseudo = source + destination;
  pseudo.resize(pseudo.size() + 4);
  Put16(&pseudo, pseudo.size() - 2, static_cast<uint32_t>(l4.size()));
  return Sum(pseudo + Bytes{0, protocol} + l4);
}

// A UDP datagram with its checksum, by default from port 40000 to port 80.
inline Bytes MakeUdp(const Bytes& source, const Bytes& destination, const Bytes& payload,
                     uint16_t source_port = 40000, uint16_t destination_port = 80) {
  Bytes udp(8);
  Put16(&udp, 0, source_port);
  Put16(&udp, 2, destination_port);
  Put16(&udp, 4, static_cast<uint32_t>(8 + payload.size()));
  udp = udp + payload;
  const auto checksum = static_cast<uint16_t>(~L4Sum(source, destination, 17, udp));
  Put16(&udp, 6, checksum == 0 ? 0xffff : checksum);
  return udp;
}

// A TCP segment with its checksum. The length of `options` must be a multiple of 4.
inline Bytes MakeTcp(const Bytes& source, const Bytes& destination, uint8_t flags,
                     const Bytes& options, const Bytes& payload, uint16_t source_port = 40000,
                     uint16_t destination_port = 80) {
  Bytes tcp(20);
  Put16(&tcp, 0, source_port);
  Put16(&tcp, 2, destination_port);
  Put16(&tcp, 4, 0x1122);
  Put16(&tcp, 6, 0x3344);
  tcp[12] = static_cast<uint8_t>((5 + options.size() / 4) << 4);
  tcp[13] = flags;
  Put16(&tcp, 14, 0xfaf0);
  tcp = tcp + options + payload;
  Put16(&tcp, 16, static_cast<uint16_t>(~L4Sum(source, destination, 6, tcp)));
  return tcp;
}

// An ICMP message (RFC 792) with its checksum.
inline Bytes MakeIcmp4(uint8_t type, uint8_t code, uint32_t rest, const Bytes& body) {
  Bytes icmp = {type, code, 0, 0, 0, 0, 0, 0};
  Put16(&icmp, 4, rest >> 16);
  Put16(&icmp, 6, rest & 0xffff);
  icmp = icmp + body;
  Put16(&icmp, 2, static_cast<uint16_t>(~Sum(icmp)));
  return icmp;
}

// An ICMPv6 message (RFC 4443) with its checksum.
inline Bytes MakeIcmp6(const Bytes& source, const Bytes& destination, uint8_t type, uint8_t code,
                       uint32_t rest, const Bytes& body) {
  Bytes icmp = {type, code, 0, 0, 0, 0, 0, 0};
  Put16(&icmp, 4, rest >> 16);
  Put16(&icmp, 6, rest & 0xffff);
  icmp = icmp + body;
  Put16(&icmp, 2, static_cast<uint16_t>(~L4Sum(source, destination, 58, icmp)));
  return icmp;
}

}  // namespace fairlead::slow
