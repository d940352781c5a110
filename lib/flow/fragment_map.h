// Where the fragments of a datagram go: datagram -> the routing decision that its first fragment
// recorded.
//
// One fixed block of memory, shared by all workers. Later fragments have no ports; whoever balances
// the first one records here what it decided, as 64 bits that mean something to the caller alone.
//
//   bucket (128 bytes) = writer lock | 5 entries of (tag, where, tick), 24 bytes each
//
// Shared and not one per worker, since nobody promises that a NIC brings all fragments of a datagram
// to one worker: most hash every fragment, the first included, by addresses alone, but some hash the
// first by its ports. Waiting fragments stay with the worker that holds them (fragment_store.h).
//
// Between threads. Writers of one bucket exclude each other by a lock that they try a bounded number
// of times; who does not get it leaves the datagram unrecorded. Readers take no lock: tag, word, tag
// again; a tag that changed is a miss. The first to record a datagram wins: a second first-fragment
// changes nothing while the mapping lives.
//
// A mapping lives for a fixed time from its first fragment on and is not prolonged: RFC 791's 15
// seconds, the shorter of the two protocols' (RFC 8200: 60), because IPv4's 16-bit ids come round
// (RFC 4963). A full bucket gives up its oldest entry, so a flood costs a constant per packet and
// displaces mappings of the buckets that it hits, at random: buckets are chosen by a seeded hash.
//
// Worked example: first fragment of datagram D to backend 7: Remember(D, 7) = 7. Later ones:
// Find(D) = 7. Somebody sends another first fragment of D with other ports that hash to backend 3:
// Remember(D, 3) = 7, and it follows. 15 s later: Find(D) = 0.
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
  // Room for about `datagrams` (rounded up to 5 * 2^n). `seed`: random per process, so that nobody
  // can aim at a bucket.
  FragmentMap(uint32_t datagrams, uint64_t seed, uint32_t lifetime_ticks = kFragmentLifetimeTicks);

  // The datagram's identity here. `fragment_key`: lib/net/fragment.h.
  FlowHash Identify(const FlowKey& fragment_key) const { return HashFlow(fragment_key, seed_); }

  // Any worker. What the datagram's first fragment recorded; 0 when there was none, or too long
  // ago.
  uint64_t Find(const FlowHash& datagram, uint32_t now_tick) const;

  // Any worker. Records `where` (not 0) for the datagram unless it has a living mapping. Returns
  // what is to be applied: the earlier decision, else `where`. `recorded` (may be null): whether
  // the map now says so too; false when another writer, put to sleep by its kernel, held the
  // bucket.
  uint64_t Remember(const FlowHash& datagram, uint64_t where, uint32_t now_tick,
                    bool* recorded = nullptr);

  uint64_t capacity_datagrams() const { return (bucket_mask_ + 1) * kEntries; }

 private:
  static constexpr uint32_t kEntries = 5;
  static constexpr uint32_t kLockAttempts = 64;

  struct Entry {
    std::atomic<uint64_t> tag{0};  // 0: free, or being written
    std::atomic<uint64_t> where{0};
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

// Ticks from `then` to `now` (modulo 2^24, flow_table.h); 0 when `then` is ahead, as another
// worker's clock may be by a tick.
inline uint32_t ElapsedTicks(uint32_t now, uint32_t then) {
  const uint32_t elapsed = (now - then) & kTickMask;
  return elapsed > kTickMask / 2 ? 0 : elapsed;
}

}  // namespace fairlead
