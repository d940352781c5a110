// Internet checksum (RFC 1071) and its incremental update (RFC 1624, eqn. 3). Values are in wire
// order as loaded from memory (Be16::raw()), since the one's complement sum does not depend on byte
// order.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/net/address.h"

namespace fairlead {

// Sums `length` bytes (an odd last byte is padded with zero) onto `initial`; unfolded.
uint64_t ChecksumPartial(const void* data, size_t length, uint64_t initial);
// Folds to 16 bits and complements: the value to store in a checksum field.
uint16_t ChecksumFold(uint64_t sum);
inline uint16_t Checksum(const void* data, size_t length) {
  return ChecksumFold(ChecksumPartial(data, length, 0));
}
// Sum of the TCP/UDP/ICMPv6 pseudo header; add the segment and fold.
uint64_t PseudoHeaderSum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                         uint32_t length_bytes);
// The checksum field after a 16-bit word that it covers changed from `from` to `to`. A wrong
// checksum stays wrong.
uint16_t ChecksumUpdate16(uint16_t checksum, uint16_t from, uint16_t to);
uint16_t ChecksumUpdate32(uint16_t checksum, uint32_t from, uint32_t to);

}  // namespace fairlead
