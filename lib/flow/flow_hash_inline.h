// HashFlow for the packet path. It is inlined, so that a burst's loop keeps what depends only on
// the seed in registers. All other code uses flow_hash.h, which does not include xxhash.h.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/base/check.h"
#include "lib/flow/flow_hash.h"

namespace fairlead {

// As HashFlow, for an IPv4 key's two words.
[[gnu::always_inline]] inline FlowHash HashIpv4FlowInline(const uint64_t* words, uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(words, 16, seed);
  return {hash.low64, hash.high64};
}

// As HashFlow. There are two calls with constant lengths, so that the compiler keeps only the code
// of XXH3 for these lengths.
[[gnu::always_inline]] inline FlowHash HashFlowInline(const FlowKey& key, uint64_t seed) {
  DCHECK(key.size_bytes == 16 || key.size_bytes == 40);
  const XXH128_hash_t hash = key.size_bytes == 16
                                 ? XXH3_128bits_withSeed(key.words.data(), 16, seed)
                                 : XXH3_128bits_withSeed(key.words.data(), 40, seed);
  return {hash.low64, hash.high64};
}

[[gnu::always_inline]] inline FlowHash HashFlowInline(const FlowKey& key, HashPolicy policy,
                                                      uint64_t seed) {
  if (policy == HashPolicy::kFiveTuple) [[likely]] {
    return HashFlowInline(key, seed);
  }
  return HashFlow(key, policy, seed);
}

}  // namespace fairlead
