// How often tests with random operations repeat.
#pragma once

#include <cstdint>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define FAIRLEAD_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define FAIRLEAD_ASAN 1
#endif

namespace fairlead {

// `all` in the release build. A quarter under AddressSanitizer, where a round takes about 20 times
// as long.
constexpr uint32_t Rounds(uint32_t all) {
#ifdef FAIRLEAD_ASAN
  return all / 4;
#else
  return all;
#endif
}

}  // namespace fairlead
