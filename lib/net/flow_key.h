// The flow key: a flow's 5-tuple in the form that is hashed.
//
// A key has 16 bytes for IPv4 and 40 for IPv6, so that IPv4, which is nearly all traffic, hashes
// one short block:
//   IPv4  words[0] = source (low 32) | destination (high 32), words[1] = ports and protocol
//   IPv6  words[0..1] = source, words[2..3] = destination,    words[4] = ports and protocol
//   ports and protocol: source port (wire order) | destination port << 16 | protocol << 32; rest
//   zero
// Addresses and ports are in wire order as loaded from memory. Unused bits are always zero.
#pragma once

#include <array>
#include <cstdint>

#include "lib/net/address.h"

namespace fairlead {

struct FlowKey {
  std::array<uint64_t, 5> words{};
  uint32_t size_bytes = 16;  // 16 (IPv4) or 40 (IPv6)

  static FlowKey Make(const IpAddress& source, uint16_t source_port, const IpAddress& destination,
                      uint16_t destination_port, uint8_t protocol);  // REQUIRES one family
  Family family() const { return size_bytes == 16 ? Family::kIpv4 : Family::kIpv6; }
  IpAddress source() const;
  IpAddress destination() const;
  uint16_t source_port() const;       // host order
  uint16_t destination_port() const;  // host order
  uint8_t protocol() const;
  std::string ToString() const;  // "tcp 198.51.100.7:40000 -> 203.0.113.10:80"
  friend bool operator==(const FlowKey& a, const FlowKey& b);  // compares the first size_bytes
};

}  // namespace fairlead
