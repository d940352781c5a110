// Shared by nat.cc and nat_icmp.cc: loads, stores, and checksum updates by a difference. A
// difference is the sum of (~from + to) over the words that changed, in wire order.
#pragma once

#include <cstdint>
#include <cstring>

#include "lib/net/checksum.h"

namespace fairlead::nat_internal {

// Which address and port of a packet are rewritten.
enum class NatEnd : uint8_t { kSource, kDestination };

template <typename T>
inline T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

template <typename T>
inline void Store(uint8_t* bytes, T value) {
  std::memcpy(bytes, &value, sizeof(value));
}

inline uint16_t Moved(uint16_t checksum, uint64_t difference) {
  return ChecksumFold(uint64_t{static_cast<uint16_t>(~checksum)} + difference);
}

inline void UpdateChecksum(uint8_t* field, uint64_t difference) {
  Store(field, Moved(Load<uint16_t>(field), difference));
}

// As UpdateChecksum. A UDP checksum of zero means none (RFC 768).
inline void UpdateUdpChecksum(uint8_t* field, uint64_t difference) {
  const auto checksum = Load<uint16_t>(field);
  if (checksum == 0) return;
  const uint16_t moved = Moved(checksum, difference);
  Store(field, moved == 0 ? uint16_t{0xffff} : moved);
}

}  // namespace fairlead::nat_internal
