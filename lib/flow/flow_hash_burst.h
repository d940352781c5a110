// HashFlow of many IPv4 keys, eight at a time if the CPU has AVX-512.
#pragma once

#include <cstdint>

#include "lib/flow/flow_hash.h"

namespace fairlead {

// An IPv4 key's 16 bytes (FlowKey::words).
struct Ipv4KeyWords {
  uint64_t words[2];
};

inline constexpr uint32_t kHashLanes = 8;

// Hashes keys[0 .. count). Reads and writes up to the next multiple of kHashLanes. Any thread.
using HashIpv4Keys = void (*)(const Ipv4KeyWords* keys, uint32_t count, uint64_t seed,
                              FlowHash* hashes);

void HashIpv4KeysPlain(const Ipv4KeyWords* keys, uint32_t count, uint64_t seed, FlowHash* hashes);

// XXH3-128 of 16 bytes, as xxHash computes it (Collet, xxhash.h 0.8: XXH3_len_9to16_128b), with one
// lane for each key. REQUIRES HasAvx512.
void HashIpv4KeysAvx512(const Ipv4KeyWords* keys, uint32_t count, uint64_t seed, FlowHash* hashes);

bool HasAvx512();  // F, DQ and BW

// The fastest implementation that this CPU supports.
HashIpv4Keys FastestHashIpv4Keys();

}  // namespace fairlead
