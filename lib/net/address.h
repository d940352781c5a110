// Value types for IPv4 and IPv6 addresses, MACs, prefixes, endpoints and frontends, with the
// notation that people write.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace fairlead {

enum class Family : uint8_t { kIpv4 = 4, kIpv6 = 6 };

// IANA protocol numbers that Fairlead balances.
enum class Protocol : uint8_t { kTcp = 6, kUdp = 17 };

std::string_view ProtocolName(Protocol protocol);       // "tcp", "udp"
Result<Protocol> ParseProtocol(std::string_view text);  // the same names, in any case

// An IPv4 or IPv6 address. IPv4 occupies the first four bytes, the other twelve are zero.
class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  static IpAddress FromV4(std::span<const uint8_t, 4> bytes);
  static IpAddress FromV6(std::span<const uint8_t, 16> bytes);
  static Result<IpAddress> Parse(std::string_view text);  // "10.0.0.1", "2001:db8::1"

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::kIpv4; }
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  std::span<const uint8_t> wire() const { return {bytes_.data(), is_v4() ? 4U : 16U}; }
  std::string ToString() const;  // RFC 5952 for IPv6

  // True for 0.0.0.0/8, 127/8, 224/4, 240/4, ::, ::1, ff00::/8 and v4-mapped addresses. A frontend,
  // a backend or a client cannot have them.
  bool IsUnusable() const;

  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes <=>'s literal zero for a pointer
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  Family family_ = Family::kIpv4;
  std::array<uint8_t, 16> bytes_{};
};

// "192.0.2.128/25". All bits after the prefix are zero.
struct Prefix {
  IpAddress address;
  uint8_t bits = 0;

  static Result<Prefix> Parse(std::string_view text);
  std::string ToString() const;
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  static Result<MacAddress> Parse(std::string_view text);  // "02:00:00:00:00:01"
  std::string ToString() const;
  bool is_zero() const { return *this == MacAddress{}; }
  bool is_group() const { return (bytes[0] & 1) != 0; }  // broadcast or multicast
  friend auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

// The name of a backend: "10.0.0.11", "10.0.0.11:8080", "[2001:db8::11]:8080".
// port 0 = the frontend's port.
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  static Result<Endpoint> Parse(std::string_view text);
  std::string ToString() const;  // without port if it is 0
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// "203.0.113.10:80/tcp", "[2001:db8::10]:443/udp", "203.0.113.10:8000-8999/tcp"; port 0 = every
// port of that protocol.
struct Frontend {
  IpAddress address;
  uint16_t port = 0;  // for a range: its first port
  Protocol protocol = Protocol::kTcp;
  uint16_t last_port = 0;  // for a range: its last port, above `port`; 0: not a range

  bool is_any_port() const { return port == 0; }
  bool is_range() const { return last_port != 0; }
  // True if `wanted` is one of its ports. REQUIRES wanted not 0.
  bool HasPort(uint16_t wanted) const {
    return is_any_port() || (wanted >= port && wanted <= (is_range() ? last_port : port));
  }

  static Result<Frontend> Parse(std::string_view text);
  std::string ToString() const;
  friend auto operator<=>(const Frontend&, const Frontend&) = default;
};

}  // namespace fairlead
