// The flow table: which backend a flow was given, for flows whose hash alone would not tell.
//
// One fixed block of memory, shared by all workers and the management thread, lock-free,
// position-independent (it may be a file mapping that the next dataplane process takes up again).
//
//   header (64 bytes) | bucket[0] | bucket[1] | ... | bucket[2^n - 1]
//   bucket  64 bytes, one cache line, four records
//   record  16 bytes: tag (64 bits) | value (64 bits)
//
//   tag    0 free, 1 being written, else the flow hash's low word salted with its service
//   value  63........32 31........8 7......0
//          backend id   last seen   flags
//          last seen: coarse ticks of 250 ms, modulo 2^24 (48 days)
//
// A flow may live in two buckets (from the hash's high word), so a lookup compares 8 tags of 64
// bits that are independent of the bucket choice: false-match probability at most 8 * 2^-64 =
// 2^-61. Connections of one client share the upper 32 bits of their tags under the 3-tuple and
// source-ip policies: between two such that meet in a bucket it is 2^-32. What a false match would
// do: send one flow to another backend of its service (SelectBackend ignores records whose backend is
// not the service's).
//
// Protocol between threads. A writer claims a record by compare-and-swap of its tag to 1, stores
// the value, then stores the new tag (release). A reader loads tag, value, tag again; a changed tag
// is a miss. The value of a held tag changes only by compare-and-swap, so a touch never resurrects
// a replaced record. Nobody waits: who loses a race treats the packet as untracked (counted by the
// caller). Two workers that see a flow's first packets at the same moment may store it twice;
// lookups agree on the first of the two, the other ages out. A reader could take another flow's
// value for its own only if its record were given away and back between its two loads of the tag.
//
// Eviction, when all eight records are taken, in this order: expired (idle for longer than any
// service's timeout, since a record does not tell whose it is: judged by the newcomer's, a flood of
// UDP would displace TCP flows that are idle but live; or closed long enough); closing; new and unconfirmed (a SYN only: a flood of
// them displaces itself); pinned (can be derived again, but only until T is over, and an idle flow may
// not send before: docs/decisions/0015); then the rest. The oldest within each. With live flows only,
// evictions begin at half full and stay below one insertion in a thousand up to 60 %.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/prefetch.h"
#include "lib/base/result.h"
#include "lib/flow/flow_hash.h"

namespace fairlead {

inline constexpr uint32_t kTicksPerSecond = 4;  // coarse clock
inline constexpr uint32_t kTickMask = (1U << 24) - 1;
inline constexpr uint32_t kRecordsPerBucket = 4;

// Workers read the clock at different moments: a record may have been seen "later" than now. Ages
// within a minute of the full turn of 48 days are such, and mean 0.
inline constexpr uint32_t kClockSlackTicks = 60 * kTicksPerSecond;

// Ticks from `tick` to `now_tick`; modulo arithmetic, 0 for a moment just after `now_tick`.
inline uint32_t AgeTicks(uint32_t tick, uint32_t now_tick) {
  const uint32_t age = (now_tick - tick) & kTickMask;
  return age > kTickMask - kClockSlackTicks ? 0 : age;
}

// After a FIN or RST a flow without data counts as gone this long after its last packet. Long
// enough for the last ACKs of a close, short enough that a drain ends soon after its last flow
// does.
inline constexpr uint32_t kClosingTicks = 10 * kTicksPerSecond;

enum RecordFlags : uint8_t {
  // Class pinned, else class new: made for a flow older than its slot's change, and as long as the
  // slot is shifting. Were it lost, the flow's next packet would make it again.
  kRecordPinned = 0x01,
  kRecordConfirmed = 0x02,  // more than one packet was seen
  kRecordClosing = 0x04,    // FIN or RST seen, and no data since
};

// A record's value, unpacked.
struct FlowRecord {
  uint32_t backend_id = 0;
  uint32_t last_seen_tick = 0;  // 24 bits
  uint8_t flags = 0;

  uint64_t Pack() const {
    return (uint64_t{backend_id} << 32) | (uint64_t{last_seen_tick & kTickMask} << 8) | flags;
  }
  static FlowRecord Unpack(uint64_t value) {
    return {static_cast<uint32_t>(value >> 32), static_cast<uint32_t>(value >> 8) & kTickMask,
            static_cast<uint8_t>(value)};
  }
  // Since last seen.
  uint32_t AgeTicks(uint32_t now_tick) const {
    return fairlead::AgeTicks(last_seen_tick, now_tick);
  }
};

// True when `record` no longer stands for a live flow of a service with that idle timeout.
inline bool IsExpired(const FlowRecord& record, uint32_t now_tick, uint32_t idle_ticks) {
  const uint32_t age = record.AgeTicks(now_tick);
  return age > idle_ticks || ((record.flags & kRecordClosing) != 0 && age > kClosingTicks);
}

// A flow's identity in the table: the flow hash mixed with its service's salt, so that a frontend
// that goes over to another service takes no records along. `tag` gives back the slot: SlotIndex of (tag ^
// salt.low).
struct RecordKey {
  uint64_t tag = 0;      // never 0 or 1
  uint64_t buckets = 0;  // low and high half: the two candidates

  static RecordKey Make(const FlowHash& hash, const FlowHash& salt) {
    const uint64_t tag = hash.low ^ salt.low;
    return {tag < 2 ? tag + 2 : tag, hash.high ^ salt.high};
  }
};

class FlowTable {
 public:
  // Rounds `records` up to a power of two of buckets, at least two; the bytes that a table of that
  // many needs, header included. REQUIRES records <= 2^34.
  static size_t BytesNeeded(uint64_t records);

  // Makes an empty table in `memory` (64-byte aligned, at least BytesNeeded(records) long, outlives
  // the table).
  static FlowTable Format(std::span<std::byte> memory, uint64_t records);

  // The same where `memory` is zero already, as far as it is looked at: writes nothing but the header.
  static FlowTable FormatZeros(std::span<std::byte> memory, uint64_t records);
  // The table that FormatZeros will make, before it does: nobody may look into it until then.
  static FlowTable Planned(std::span<std::byte> memory, uint64_t records);

  // Takes up a table that an earlier process left in `memory`. Fails when layout version, size or
  // magic differ. Records left half-written are freed. REQUIRES no concurrent user, 64-byte
  // alignment.
  static Result<FlowTable> Attach(std::span<std::byte> memory);

  uint64_t capacity_records() const { return (bucket_mask_ + 1) * kRecordsPerBucket; }

  // Fetches both candidate buckets. Over a burst, prefetch all before the first Find.
  // (always_inline: see PrefetchLine.)
  [[gnu::always_inline]] void Prefetch(const RecordKey& key) const {
    PrefetchLine(&buckets_[FirstBucket(key)]);
    PrefetchLine(&buckets_[SecondBucket(key)]);
  }

  // A place where a record was found; valid until the record is replaced (then updates through it
  // do nothing).
  struct Handle {
    uint32_t bucket = 0;
    uint32_t index = 0;
    uint64_t value = 0;  // as read
  };

  // Any thread. True and fills `handle` when the flow has a record, whatever its age.
  bool Find(const RecordKey& key, Handle* handle) const;

  // Any thread. Replaces the value of the record at `handle` if it is still `handle->value` of the
  // same tag. False when somebody else was faster.
  bool Update(const RecordKey& key, const Handle& handle, const FlowRecord& record);

  // Any worker. Stores a record for a flow that has none; its last_seen_tick is the present.
  // `idle_ticks`: the longest idle timeout of all services, by which others' age is judged. Outcome:
  // kStored, kEvicted (stored in place of a live record), or kContended (a race was lost; nothing
  // stored).
  enum class InsertResult : uint8_t { kStored, kEvicted, kContended };
  InsertResult Insert(const RecordKey& key, const FlowRecord& record, uint32_t idle_ticks);

  // Any thread. Frees the record at (bucket, index) if it still holds (tag, value).
  bool Erase(uint32_t bucket, uint32_t index, uint64_t tag, uint64_t value);

  // Management thread. Calls visit(bucket, index, tag, FlowRecord) for every record of buckets
  // [first, first + count), concurrent with workers.
  template <typename Visitor>
  void Sweep(uint64_t first, uint64_t count, Visitor&& visit) const;

  uint64_t bucket_count() const { return bucket_mask_ + 1; }

 private:
  struct Record {
    std::atomic<uint64_t> tag;
    std::atomic<uint64_t> value;
  };
  struct alignas(64) Bucket {
    Record records[kRecordsPerBucket];
  };
  static_assert(sizeof(Record) == 16 && sizeof(Bucket) == 64);
  static_assert(std::atomic<uint64_t>::is_always_lock_free);

  struct Header;
  struct Place;  // where Insert would store

  FlowTable(Bucket* buckets, uint64_t bucket_mask) : buckets_(buckets), bucket_mask_(bucket_mask) {}

  uint64_t FirstBucket(const RecordKey& key) const { return key.buckets & bucket_mask_; }
  // Never the first one: two buckets at least.
  uint64_t SecondBucket(const RecordKey& key) const {
    const uint64_t second = (key.buckets >> 32) & bucket_mask_;
    return second == FirstBucket(key) ? second ^ 1 : second;
  }

  Place ChoosePlace(const RecordKey& key, uint32_t now_tick, uint32_t idle_ticks) const;
  Place ChooseVictim(const RecordKey& key, uint32_t now_tick, uint32_t idle_ticks) const;
  static bool Claim(Record* record, uint64_t tag, uint64_t value);

  Bucket* buckets_ = nullptr;
  uint64_t bucket_mask_ = 0;
};

// Eight compares without a branch between them, then one: which of the eight it is cannot be
// predicted, whether it is there nearly always can.
inline bool FlowTable::Find(const RecordKey& key, Handle* handle) const {
  const uint64_t first = FirstBucket(key);
  const uint64_t second = SecondBucket(key);
  const auto matches_in = [&](uint64_t bucket) {
    const auto match = [&](uint32_t i) {
      const uint64_t tag = buckets_[bucket].records[i].tag.load(std::memory_order_acquire);
      return static_cast<uint32_t>(tag == key.tag) << i;
    };
    static_assert(kRecordsPerBucket == 4);
    return match(0) | match(1) | match(2) | match(3);
  };
  const uint32_t matches = matches_in(first) | matches_in(second) << kRecordsPerBucket;
  if (matches == 0) return false;
  const auto place = static_cast<uint32_t>(std::countr_zero(matches));
  const uint64_t bucket = place < kRecordsPerBucket ? first : second;
  const uint32_t index = place % kRecordsPerBucket;
  const Record& record = buckets_[bucket].records[index];
  const uint64_t value = record.value.load(std::memory_order_acquire);
  // The value's load is an acquire of the writer's release: who read a new value sees the claim.
  if (record.tag.load(std::memory_order_relaxed) != key.tag) return false;
  *handle = {static_cast<uint32_t>(bucket), index, value};
  return true;
}

template <typename Visitor>
void FlowTable::Sweep(uint64_t first, uint64_t count, Visitor&& visit) const {
  for (uint64_t b = first; b <= bucket_mask_ && b - first < count; ++b) {
    for (uint32_t i = 0; i < kRecordsPerBucket; ++i) {
      const Record& record = buckets_[b].records[i];
      const uint64_t tag = record.tag.load(std::memory_order_acquire);
      if (tag < 2) continue;
      const uint64_t value = record.value.load(std::memory_order_acquire);
      if (record.tag.load(std::memory_order_relaxed) != tag) continue;
      visit(static_cast<uint32_t>(b), i, tag, FlowRecord::Unpack(value));
    }
  }
}

}  // namespace fairlead
