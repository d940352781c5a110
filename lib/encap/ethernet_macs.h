// Writes both MAC addresses of a frame with two stores.
#pragma once

#include <cstdint>
#include <cstring>

namespace fairlead {

// The source address of frames that leave by a port, split for two stores: 2 bytes that follow the
// destination in the first 8 bytes, and 4 more.
struct SourceMac {
  uint64_t first_two = 0;  // in the upper 16 bits
  uint32_t last_four = 0;

  static SourceMac Of(const uint8_t* mac) {
    uint16_t two;
    SourceMac source;
    std::memcpy(&two, mac, sizeof(two));
    std::memcpy(&source.last_four, mac + sizeof(two), sizeof(source.last_four));
    source.first_two = uint64_t{two} << 48;
    return source;
  }
};

// `destination`: 6 bytes and 2 more that can be read.
inline void WriteMacs(uint8_t* frame, const uint8_t* destination, const SourceMac& source) {
  constexpr uint64_t kDestination = 0xffffffffffff;
  uint64_t first_eight;
  std::memcpy(&first_eight, destination, sizeof(first_eight));
  first_eight = (first_eight & kDestination) | source.first_two;
  std::memcpy(frame, &first_eight, sizeof(first_eight));
  std::memcpy(frame + sizeof(first_eight), &source.last_four, sizeof(source.last_four));
}

}  // namespace fairlead
