// Maps a datagram to the routing decision that its first fragment recorded.
//
// One fixed block of memory, shared by all workers. Later fragments have no ports, so the worker
// that balances the first one records its decision here: 64 bits, which only the caller interprets.
//
//   bucket (128 bytes) = writer lock | 5 entries of (tag, decision, tick), 24 bytes each
//
// The map is shared, not one per worker, since a NIC may send the fragments of a datagram to
// different workers: most NICs hash every fragment by addresses only, but some hash the first one
// by its ports. Waiting fragments stay with their worker (fragment_store.h).
//
// Protocol between threads. Writers of one bucket exclude each other by a lock. They try it a
// bounded number of times; a writer that does not get it leaves the datagram unrecorded. Readers
// take no lock: they load the tag, the decision, and the tag again; a changed tag is a miss. The
// first recorded decision wins: another first fragment of the datagram changes nothing while the
// mapping lives.
//
// A mapping lives for a fixed time from its first fragment on, which is not extended: 15 seconds as
// in RFC 791, the shorter time of the two protocols (RFC 8200: 60), since IPv4's 16-bit ids wrap
// around (RFC 4963). In a full bucket the oldest entry is replaced. So a flood has a constant cost
// per packet and replaces only mappings in the buckets that it hits. These are random, since a
// seeded hash selects the bucket.
//
// Worked example: the first fragment of datagram D goes to backend 7: Remember(D, 7) = 7. Later
// ones: Find(D) = 7. Another first fragment of D with other ports, which hash to backend 3,
// arrives: Remember(D, 3) = 7, so it goes to 7, too. 15 s later: Find(D) = 0.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "lib/flow/flow_hash.h"
#include "lib/flow/flow_table.h"

namespace fairlead {

inline constexpr uint32_t kFragmentLifetimeTicks = 15 * kTicksPerSecond;

class FragmentMap {
 public:
  // A map for about `datagrams` (rounded up to 5 * 2^n). `seed`: random per process, so that nobody
  // can aim at a bucket.
  FragmentMap(uint32_t datagrams, uint64_t seed, uint32_t lifetime_ticks = kFragmentLifetimeTicks);

  // The datagram's identity here. `fragment_key`: lib/net/fragment.h.
  FlowHash Identify(const FlowKey& fragment_key) const { return HashFlow(fragment_key, seed_); }

  // Any worker. The decision that the datagram's first fragment recorded; 0 if there is none, or if
  // it is too old.
  uint64_t Find(const FlowHash& datagram, uint32_t now_tick) const;

  // Any worker. Records `decision` (not 0) for the datagram unless it has a live mapping. Returns the
  // decision to apply: the earlier one, else `decision`. `recorded` (may be null): whether the map
  // contains that decision now. False if another writer, preempted by its kernel, held the bucket.
  uint64_t Remember(const FlowHash& datagram, uint64_t decision, uint32_t now_tick,
                    bool* recorded = nullptr);

  uint64_t capacity_datagrams() const { return (bucket_mask_ + 1) * kEntries; }

 private:
  static constexpr uint32_t kEntries = 5;
  static constexpr uint32_t kLockAttempts = 64;

  struct Entry {
    std::atomic<uint64_t> tag{0};  // 0: free, or being written
    std::atomic<uint64_t> decision{0};
    std::atomic<uint64_t> tick{0};  // when it was recorded
  };
  struct alignas(64) Bucket {
    std::atomic<uint32_t> lock{0};
    Entry entries[kEntries];
  };
  static_assert(sizeof(Bucket) == 128);

  Bucket& BucketOf(const FlowHash& datagram) const {
    return buckets_[datagram.high & bucket_mask_];
  }
  bool IsAlive(const Entry& entry, uint32_t now_tick) const;

  uint64_t seed_;
  uint32_t lifetime_ticks_;
  uint64_t bucket_mask_;
  std::unique_ptr<Bucket[]> buckets_;
};

// Ticks from `then` to `now` (modulo 2^24, flow_table.h); 0 if `then` is later than `now`, since
// another worker's clock may be a tick ahead.
inline uint32_t ElapsedTicks(uint32_t now, uint32_t then) {
  const uint32_t elapsed = (now - then) & kTickMask;
  return elapsed > kTickMask / 2 ? 0 : elapsed;
}

}  // namespace fairlead
