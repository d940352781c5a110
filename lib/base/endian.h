// Integers in network (big-endian) order. They are byte arrays with alignment 1, so a wire header
// made of them may lie anywhere in a packet. Compilers turn host() into one load and one bswap.
#pragma once

#include <compare>
#include <cstdint>
#include <cstring>

namespace fairlead {

struct Be16 {
  uint8_t bytes[2];

  static constexpr Be16 FromHost(uint16_t value) {
    return {{static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)}};
  }
  constexpr uint16_t host() const { return static_cast<uint16_t>((bytes[0] << 8) | bytes[1]); }
  // The two bytes as they lie in memory, for hashing and checksums.
  uint16_t raw() const {
    uint16_t value;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
  }
  friend constexpr bool operator==(const Be16&, const Be16&) = default;
};

struct Be32 {
  uint8_t bytes[4];

  static constexpr Be32 FromHost(uint32_t value) {
    return {{static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16),
             static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)}};
  }
  constexpr uint32_t host() const {
    return (uint32_t{bytes[0]} << 24) | (uint32_t{bytes[1]} << 16) | (uint32_t{bytes[2]} << 8) |
           uint32_t{bytes[3]};
  }
  uint32_t raw() const {
    uint32_t value;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
  }
  friend constexpr bool operator==(const Be32&, const Be32&) = default;
};

static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1);
static_assert(sizeof(Be32) == 4 && alignof(Be32) == 1);

}  // namespace fairlead
