#include "lib/flow/flow_hash.h"

#include "lib/flow/flow_hash_inline.h"

namespace fairlead {
FlowKey ReduceKey(const FlowKey& key, HashPolicy policy) {
  if (policy == HashPolicy::kFiveTuple) return key;
  constexpr uint64_t kProtocol = uint64_t{0xff} << 32;  // flow_key.h
  constexpr uint64_t kV4Source = 0xffffffff;
  const bool whole_pair = policy == HashPolicy::kThreeTuple;
  FlowKey reduced;
  reduced.size_bytes = key.size_bytes;
  if (key.family() == Family::kIpv4) {
    reduced.words[0] = whole_pair ? key.words[0] : key.words[0] & kV4Source;
    reduced.words[1] = whole_pair ? key.words[1] & kProtocol : 0;
    return reduced;
  }
  reduced.words[0] = key.words[0];
  reduced.words[1] = key.words[1];
  if (whole_pair) {
    reduced.words[2] = key.words[2];
    reduced.words[3] = key.words[3];
    reduced.words[4] = key.words[4] & kProtocol;
  }
  return reduced;
}

FlowHash HashFlow(const FlowKey& key, uint64_t seed) { return HashFlowInline(key, seed); }

FlowHash SaltOfService(uint32_t service_id) {
  // Any fixed value other than a likely group seed. After a change, the records in a flow table
  // that an earlier process left are no longer found.
  constexpr uint64_t kSaltSeed = 0x6661'6972'6c65'6164;
  const XXH128_hash_t hash = XXH3_128bits_withSeed(&service_id, sizeof(service_id), kSaltSeed);
  return {hash.low64, hash.high64};
}

}  // namespace fairlead
