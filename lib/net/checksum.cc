#include "lib/net/checksum.h"

#include <cstring>

#include "lib/base/check.h"
#include "lib/base/endian.h"

namespace fairlead {
namespace {

uint32_t Load32(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

}  // namespace

// Adds 32-bit words to a 64-bit sum. The carries collect in the upper half and are folded once at
// the end. The loop does not depend on a carry flag, so the compiler vectorises it.
uint64_t ChecksumPartial(const void* data, size_t length, uint64_t initial) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  uint64_t sum = initial;
  const size_t words = length / 4;
  for (size_t i = 0; i < words; ++i) sum += Load32(bytes + i * 4);
  uint8_t rest[4] = {};
  if (length % 4 != 0) {
    std::memcpy(rest, bytes + words * 4, length % 4);
    sum += Load32(rest);
  }
  return sum;
}

uint64_t PseudoHeaderSum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                         uint32_t length_bytes) {
  DCHECK(source.family() == destination.family());
  uint64_t sum = ChecksumPartial(source.wire().data(), source.wire().size(), 0);
  sum = ChecksumPartial(destination.wire().data(), destination.wire().size(), sum);
  return sum + Be32::FromHost(length_bytes).raw() + Be32::FromHost(protocol).raw();
}

}  // namespace fairlead
