// The hash of a flow, and what is derived from it.
#pragma once

#include <cstdint>

#include "lib/net/flow_key.h"

namespace fairlead {

// Which part of the 5-tuple selects the slot, and so the backend. A connection that needs a record
// has its own, whatever the policy. If a client's connections shared a record, the FIN of one would
// shorten the life of the others, and a SYN that must not go to a draining backend would move them
// too (docs/decisions/0004).
enum class HashPolicy : uint8_t {
  kFiveTuple = 0,
  kThreeTuple = 1,  // client address, frontend address, protocol
  kSourceIp = 2,    // client address
};

// The part of `key` that `policy` uses; the rest is zero.
FlowKey ReduceKey(const FlowKey& key, HashPolicy policy);

// The two halves of one XXH3-128. The upper 32 bits of `low` are replaced by those of the reduced
// key's hash.
//   low   slot (its upper 32 bits) and, salted by the service, the flow table's 64-bit tag
//   high  the flow table's two candidate buckets; header entropy of tunnels
struct FlowHash {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const FlowHash&, const FlowHash&) = default;
};

// XXH3-128 of the key's size_bytes under the group's seed. It is equal on all balancers with the
// same seed.
FlowHash HashFlow(const FlowKey& key, uint64_t seed);

// The hash under a service's policy. The 5-tuple, which nearly all services use, takes one XXH3,
// the other policies two.
inline FlowHash HashFlow(const FlowKey& key, HashPolicy policy, uint64_t seed) {
  FlowHash hash = HashFlow(key, seed);
  if (policy != HashPolicy::kFiveTuple) [[unlikely]] {
    constexpr uint64_t kSlotBits = ~uint64_t{0} << 32;
    hash.low = (HashFlow(ReduceKey(key, policy), seed).low & kSlotBits) | (hash.low & ~kSlotBits);
  }
  return hash;
}

// The salt that separates a service's keys in the flow table from other services' (RecordKey). It
// is the same in every generation and process, so that records outlive both.
FlowHash SaltOfService(uint32_t service_id);

// Maps the hash to a slot without division: the upper 32 bits scaled to `slot_count` (Lemire, "Fast
// random integer generation in an interval", 2019). At 65537 slots the bias is below 2^-15 of a
// slot.
inline uint32_t SlotIndex(const FlowHash& hash, uint32_t slot_count) {
  return static_cast<uint32_t>(((hash.low >> 32) * uint64_t{slot_count}) >> 32);
}

}  // namespace fairlead
