#include "lib/flow/flow_hash_burst.h"

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
// GCC 12 warns of the undefined lanes in its own intrinsics (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "lib/flow/flow_hash_inline.h"

namespace fairlead {
namespace {

#define FAIRLEAD_AVX512 [[gnu::target("avx512f,avx512dq,avx512bw")]]

// The constants of XXH3 for 9 to 16 bytes: two constants that are each the exclusive or of two
// words of the default secret, and the multipliers (doc/xxhash_spec.md of xxHash).
constexpr uint64_t kFlipLow = 0x59973f0033362349;
constexpr uint64_t kFlipHigh = 0xc202797692d63d58;
constexpr uint64_t kPrime64A = 0x9e3779b185ebca87;
constexpr uint64_t kPrime64B = 0xc2b2ae3d27d4eb4f;
constexpr uint64_t kPrime32B = 0x85ebca77;
constexpr uint64_t kAvalanche = 0x165667919e3779f9;
constexpr uint64_t kLengthTerm = uint64_t{16 - 1} << 54;

FAIRLEAD_AVX512 inline __m512i All(uint64_t value) {
  return _mm512_set1_epi64(static_cast<int64_t>(value));
}

struct Product {
  __m512i low;
  __m512i high;
};

// Multiplies 64 by 64 bits, in 32-bit halves.
FAIRLEAD_AVX512 inline Product Multiply(__m512i a, uint64_t factor) {
  const __m512i low_half = All(0xffffffff);
  const __m512i factor_low = All(factor & 0xffffffff);
  const __m512i factor_high = All(factor >> 32);
  const __m512i a_high = _mm512_srli_epi64(a, 32);
  const __m512i low_low = _mm512_mul_epu32(a, factor_low);
  const __m512i low_high = _mm512_mul_epu32(a, factor_high);
  const __m512i high_low = _mm512_mul_epu32(a_high, factor_low);
  const __m512i high_high = _mm512_mul_epu32(a_high, factor_high);
  const __m512i middle = _mm512_add_epi64(high_low, _mm512_srli_epi64(low_low, 32));
  const __m512i carry = _mm512_add_epi64(low_high, _mm512_and_si512(middle, low_half));
  return {_mm512_mullo_epi64(a, All(factor)),
          _mm512_add_epi64(high_high, _mm512_add_epi64(_mm512_srli_epi64(middle, 32),
                                                       _mm512_srli_epi64(carry, 32)))};
}

FAIRLEAD_AVX512 inline __m512i Avalanche(__m512i hash) {
  hash = _mm512_xor_si512(hash, _mm512_srli_epi64(hash, 37));
  hash = _mm512_mullo_epi64(hash, All(kAvalanche));
  return _mm512_xor_si512(hash, _mm512_srli_epi64(hash, 32));
}

FAIRLEAD_AVX512 inline __m512i SwapBytes(__m512i words) {
  const __m128i order = _mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8);
  return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(order));
}

}  // namespace

void HashIpv4KeysPlain(const Ipv4KeyWords* keys, uint32_t count, uint64_t seed, FlowHash* hashes) {
  for (uint32_t i = 0; i < count; ++i) {
    hashes[i] = HashIpv4FlowInline(keys[i].words, seed);
  }
}

FAIRLEAD_AVX512 void HashIpv4KeysAvx512(const Ipv4KeyWords* keys, uint32_t count, uint64_t seed,
                                        FlowHash* hashes) {
  const __m512i flip_low = All(kFlipLow - seed);
  const __m512i flip_high = All(kFlipHigh + seed);
  for (uint32_t i = 0; i < count; i += kHashLanes) {
    const __m512i four = _mm512_loadu_si512(&keys[i]);
    const __m512i four_more = _mm512_loadu_si512(&keys[i + 4]);
    // Unpacking changes the order of the keys. The last two steps restore it.
    const __m512i first = _mm512_unpacklo_epi64(four, four_more);
    const __m512i second = _mm512_unpackhi_epi64(four, four_more);

    const Product once =
        Multiply(_mm512_xor_si512(_mm512_xor_si512(first, second), flip_low), kPrime64A);
    const __m512i flipped = _mm512_xor_si512(second, flip_high);
    const __m512i high = _mm512_add_epi64(
        once.high, _mm512_add_epi64(flipped, _mm512_mul_epu32(flipped, All(kPrime32B - 1))));
    const __m512i low =
        _mm512_xor_si512(_mm512_add_epi64(once.low, All(kLengthTerm)), SwapBytes(high));

    const Product twice = Multiply(low, kPrime64B);
    const __m512i hash_low = Avalanche(twice.low);
    const __m512i hash_high =
        Avalanche(_mm512_add_epi64(twice.high, _mm512_mullo_epi64(high, All(kPrime64B))));
    _mm512_storeu_si512(&hashes[i], _mm512_unpacklo_epi64(hash_low, hash_high));
    _mm512_storeu_si512(&hashes[i + 4], _mm512_unpackhi_epi64(hash_low, hash_high));
  }
}

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0;
}

HashIpv4Keys FastestHashIpv4Keys() { return HasAvx512() ? HashIpv4KeysAvx512 : HashIpv4KeysPlain; }

}  // namespace fairlead
