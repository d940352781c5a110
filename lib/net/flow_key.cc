#include "lib/net/flow_key.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "lib/base/check.h"
#include "lib/base/endian.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

// The layout in flow_key.h is that of a little-endian load from the packet.
static_assert(std::endian::native == std::endian::little);

uint64_t PortsAndProtocol(uint16_t source_port, uint16_t destination_port, uint8_t protocol) {
  return uint64_t{Be16::FromHost(source_port).raw()} |
         uint64_t{Be16::FromHost(destination_port).raw()} << 16 | uint64_t{protocol} << 32;
}

uint16_t PortFromRaw(uint64_t word, int shift) {
  const auto raw = static_cast<uint16_t>(word >> shift);
  return static_cast<uint16_t>(raw << 8 | raw >> 8);
}

std::string WithPort(const IpAddress& address, uint16_t port) {
  const std::string text = address.ToString();
  return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

std::string NameOf(uint8_t protocol) {
  switch (protocol) {
    case kIpProtoTcp:
      return "tcp";
    case kIpProtoUdp:
      return "udp";
    case kIpProtoIcmp:
      return "icmp";
    case kIpProtoIcmpv6:
      return "icmpv6";
    default:
      return "protocol " + std::to_string(protocol);
  }
}

}  // namespace

FlowKey FlowKey::Make(const IpAddress& source, uint16_t source_port, const IpAddress& destination,
                      uint16_t destination_port, uint8_t protocol) {
  CHECK(source.family() == destination.family());
  FlowKey key;
  const size_t length = source.wire().size();
  auto* bytes = reinterpret_cast<uint8_t*>(key.words.data());
  std::memcpy(bytes, source.wire().data(), length);
  std::memcpy(bytes + length, destination.wire().data(), length);
  const size_t last = source.is_v4() ? 1 : 4;
  key.words[last] = PortsAndProtocol(source_port, destination_port, protocol);
  key.size_bytes = static_cast<uint32_t>((last + 1) * sizeof(uint64_t));
  return key;
}

IpAddress FlowKey::source() const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
  return family() == Family::kIpv4 ? IpAddress::FromV4(std::span<const uint8_t, 4>(bytes, 4))
                                   : IpAddress::FromV6(std::span<const uint8_t, 16>(bytes, 16));
}

IpAddress FlowKey::destination() const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
  return family() == Family::kIpv4
             ? IpAddress::FromV4(std::span<const uint8_t, 4>(bytes + 4, 4))
             : IpAddress::FromV6(std::span<const uint8_t, 16>(bytes + 16, 16));
}

uint16_t FlowKey::source_port() const { return PortFromRaw(words[size_bytes / 8 - 1], 0); }

uint16_t FlowKey::destination_port() const { return PortFromRaw(words[size_bytes / 8 - 1], 16); }

uint8_t FlowKey::protocol() const { return static_cast<uint8_t>(words[size_bytes / 8 - 1] >> 32); }

std::string FlowKey::ToString() const {
  return NameOf(protocol()) + " " + WithPort(source(), source_port()) + " -> " +
         WithPort(destination(), destination_port());
}

bool operator==(const FlowKey& a, const FlowKey& b) {
  return a.size_bytes == b.size_bytes &&
         std::equal(a.words.begin(), a.words.begin() + a.size_bytes / 8, b.words.begin());
}

}  // namespace fairlead
