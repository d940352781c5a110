#include "lib/flow/fragment_map.h"

#include <bit>

#include "lib/base/check.h"

namespace fairlead {
namespace {

uint64_t TagOf(const FlowHash& datagram) { return datagram.low == 0 ? 1 : datagram.low; }

}  // namespace

FragmentMap::FragmentMap(uint32_t datagrams, uint64_t seed, uint32_t lifetime_ticks)
    : seed_(seed),
      lifetime_ticks_(lifetime_ticks),
      bucket_mask_(std::bit_ceil(uint64_t{datagrams} / kEntries + 1) - 1),
      buckets_(std::make_unique<Bucket[]>(bucket_mask_ + 1)) {
  CHECK(lifetime_ticks > 0 && lifetime_ticks < kTickMask / 2);
}

bool FragmentMap::IsAlive(const Entry& entry, uint32_t now_tick) const {
  const auto tick = static_cast<uint32_t>(entry.tick.load(std::memory_order_acquire));
  return ElapsedTicks(now_tick, tick) < lifetime_ticks_;
}

uint64_t FragmentMap::Find(const FlowHash& datagram, uint32_t now_tick) const {
  const uint64_t tag = TagOf(datagram);
  for (const Entry& entry : BucketOf(datagram).entries) {
    if (entry.tag.load(std::memory_order_acquire) != tag) continue;
    // A writer clears the tag, then stores decision, tick and tag. Tick and decision are loaded
    // with acquire, so the second load of the tag comes after them: an unchanged tag means that
    // both belong to this datagram. The tick is loaded first: if it is new, the decision is new
    // too.
    const bool alive = IsAlive(entry, now_tick);
    const uint64_t decision = entry.decision.load(std::memory_order_acquire);
    if (entry.tag.load(std::memory_order_relaxed) != tag) continue;
    return alive ? decision : 0;
  }
  return 0;
}

uint64_t FragmentMap::Remember(const FlowHash& datagram, uint64_t decision, uint32_t now_tick,
                               bool* recorded) {
  bool ignored;
  if (recorded == nullptr) recorded = &ignored;
  DCHECK(decision != 0);
  Bucket& bucket = BucketOf(datagram);
  uint32_t attempts = 0;
  while (bucket.lock.exchange(1, std::memory_order_acquire) != 0) {
    if (++attempts == kLockAttempts) {
      const uint64_t earlier = Find(datagram, now_tick);
      *recorded = earlier != 0;
      return earlier != 0 ? earlier : decision;
    }
  }
  const uint64_t tag = TagOf(datagram);
  Entry* place = nullptr;  // the datagram's own entry, else a dead one, else the oldest
  uint32_t place_age = 0;
  uint64_t existing = 0;
  for (Entry& entry : bucket.entries) {
    const uint64_t held = entry.tag.load(std::memory_order_relaxed);
    const bool alive = held != 0 && IsAlive(entry, now_tick);
    if (held == tag) {
      if (alive) existing = entry.decision.load(std::memory_order_relaxed);
      place = &entry;
      break;
    }
    const auto tick = static_cast<uint32_t>(entry.tick.load(std::memory_order_relaxed));
    const uint32_t age = alive ? ElapsedTicks(now_tick, tick) : kTickMask;
    if (place == nullptr || age > place_age) {
      place = &entry;
      place_age = age;
    }
  }
  if (existing == 0) {
    place->tag.store(0, std::memory_order_relaxed);
    // Release: a reader that sees one of these also sees the cleared tag.
    place->decision.store(decision, std::memory_order_release);
    place->tick.store(now_tick & kTickMask, std::memory_order_release);
    place->tag.store(tag, std::memory_order_release);
  }
  bucket.lock.store(0, std::memory_order_release);
  *recorded = true;
  return existing != 0 ? existing : decision;
}

}  // namespace fairlead
