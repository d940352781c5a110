// Builds frames byte by byte for tests, benches and fuzzers' seeds. Fields default to valid values.
// Lengths and checksums are right unless overridden. Checksums are computed independently, 16 bits
// at a time, so that they can test lib/net/checksum.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/net/address.h"

namespace fairlead::testing {

using Bytes = std::vector<uint8_t>;

Bytes operator+(Bytes a, const Bytes& b);
void Put16(Bytes* bytes, size_t offset, uint32_t value);  // big-endian
uint32_t Get16(const Bytes& bytes, size_t offset);
// The value of a checksum field (RFC 1071) over `bytes`, in host order.
uint32_t SlowChecksum(const Bytes& bytes);
// The same with an IPv6 or IPv4 pseudo header in front.
uint32_t SlowL4Checksum(std::string_view source, std::string_view destination, uint8_t protocol,
                        const Bytes& segment);
IpAddress Address(std::string_view text);  // CHECKs that it parses
MacAddress Mac(std::string_view text);

inline constexpr char kClient4[] = "198.51.100.7";
inline constexpr char kFrontend4[] = "203.0.113.10";
inline constexpr char kClient6[] = "2001:db8:1::7";
inline constexpr char kFrontend6[] = "2001:db8::10";
inline constexpr char kPortMac[] = "02:00:00:00:00:01";
inline constexpr char kClientMac[] = "02:00:00:00:00:02";

struct EthernetFields {
  std::string_view destination = kPortMac;
  std::string_view source = kClientMac;
  // Each tag: its type (0x8100, ...) in the upper, its TCI in the lower 16 bits; outermost first.
  std::vector<uint32_t> tags = {};
};
Bytes Ethernet(uint32_t type, const Bytes& payload, const EthernetFields& fields = {});

struct Ipv4Fields {
  uint8_t protocol = 6;
  std::string_view source = kClient4;
  std::string_view destination = kFrontend4;
  uint8_t tos = 0;
  uint8_t ttl = 64;
  uint32_t id = 0x1234;
  uint32_t flags_fragment = 0x4000;  // DF
  Bytes options = {};                // multiple of 4 bytes
  std::optional<uint8_t> version_ihl = {};
  std::optional<uint32_t> total_length = {};
};
Bytes Ipv4(const Bytes& payload, const Ipv4Fields& fields = {});

struct Ipv6Fields {
  uint8_t next_header = 6;
  std::string_view source = kClient6;
  std::string_view destination = kFrontend6;
  uint8_t hop_limit = 64;
  uint32_t version_class_flow = 0x60000000;
  std::optional<uint32_t> payload_length = {};
};
Bytes Ipv6(const Bytes& payload, const Ipv6Fields& fields = {});

struct TcpFields {
  uint32_t source_port = 40000;
  uint32_t destination_port = 80;
  uint8_t flags = 0x10;
  Bytes options = {};
  std::optional<uint8_t> data_offset = {};  // in words
};
Bytes Tcp(const TcpFields& fields = {}, const Bytes& payload = {});

struct UdpFields {
  uint32_t source_port = 40000;
  uint32_t destination_port = 53;
  uint32_t checksum = 0xbeef;
  std::optional<uint32_t> length = {};
};
Bytes Udp(const UdpFields& fields = {}, const Bytes& payload = {});

// ICMP with a right checksum. ICMPv6's is for kClient6 -> kFrontend6 by default.
Bytes Icmp4(uint8_t type, uint8_t code, uint32_t rest, const Bytes& payload = {});
Bytes Icmp6(uint8_t type, uint8_t code, uint32_t rest, const Bytes& payload = {},
            std::string_view source = kClient6, std::string_view destination = kFrontend6);

// IPv6 extension header of (1 + `more_units`) * 8 bytes, all options padding.
Bytes Extension(uint8_t next_header, uint8_t more_units = 0);
Bytes RoutingHeader(uint8_t next_header, uint8_t segments_left);
Bytes FragmentHeader(uint8_t next_header, uint32_t offset_bytes, bool more, uint32_t id = 7);
Bytes AuthenticationHeader(uint8_t next_header, uint8_t length_field = 4);

}  // namespace fairlead::testing
