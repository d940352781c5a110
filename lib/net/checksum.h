// Internet checksum (RFC 1071) and its incremental update (RFC 1624, eqn. 3). Values are in wire
// order as loaded from memory (Be16::raw()): the one's complement sum does not depend on byte
// order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/net/address.h"

namespace fairlead {

// Adds `length` bytes to `initial`, without folding. An odd last byte is padded with zero, so only
// the last piece of a packet may have an odd length. REQUIRES that `initial` is such a sum, or 0:
// 64 bits then suffice for any packet.
uint64_t ChecksumPartial(const void* data, size_t length, uint64_t initial);

// Folds to 16 bits and complements: the value to store in a checksum field.
inline uint16_t ChecksumFold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

inline uint16_t Checksum(const void* data, size_t length) {
  return ChecksumFold(ChecksumPartial(data, length, 0));
}

// Sum of the TCP/UDP/ICMPv6 pseudo header. The caller adds the segment and folds.
uint64_t PseudoHeaderSum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                         uint32_t length_bytes);

// Returns the checksum after a value that it covers changed from `from` to `to`. The checksum
// changes by the difference, so a wrong checksum stays wrong. Of the two zeros of one's complement
// the result is the one that a full sum would give (0x0000). The exception is checksum and `from`
// 0xffff with `to` 0, which cannot occur in a header with a nonzero byte.
inline uint16_t ChecksumUpdate32(uint16_t checksum, uint32_t from, uint32_t to) {
  return ChecksumFold(uint64_t{static_cast<uint16_t>(~checksum)} + uint32_t{~from} + to);
}

inline uint16_t ChecksumUpdate16(uint16_t checksum, uint16_t from, uint16_t to) {
  uint32_t sum = uint32_t{static_cast<uint16_t>(~checksum)} + static_cast<uint16_t>(~from) + to;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace fairlead
