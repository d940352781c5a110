// The flow table: the backend of each recorded flow, for flows that the hash alone could send to
// another backend.
//
// One fixed block of memory, shared by all workers and the management thread. It is lock-free and
// position-independent: it may be a file mapping that the next dataplane process attaches to.
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
// A flow may be in one of two buckets (from the hash's high word), so a lookup compares 8 tags of
// 64 bits, which are independent of the choice of buckets. The probability of a false match is at
// most 8 * 2^-64 = 2^-61. Under the 3-tuple and source-ip policies, connections of one client share
// the upper 32 bits of their tags: for two of them in the same bucket it is 2^-32. A false match
// sends one flow to another backend of its service (SelectBackend ignores records whose backend is
// not the service's).
//
// Protocol between threads. A writer claims a record by compare-and-swap of its tag to 1, stores
// the value, then stores the new tag (release). A reader loads tag, value, and tag again; a changed
// tag is a miss. Under a tag above 1 the value changes only by compare-and-swap, so a touch never
// resurrects a replaced record. No thread waits: a worker that loses a race treats the packet as
// untracked (the caller counts it). Two workers that see a flow's first packets at the same moment
// may store it twice. Lookups then agree on the first of the two, and the other expires. A reader
// could use another flow's value only if its record were replaced and restored between its two
// loads of the tag.
//
// Eviction. If all eight records are taken, an insertion replaces one in this order, the oldest of
// its kind first:
//   1. expired: idle for longer than any service's timeout, or closed long enough. A record does
//      not tell its service. If the newcomer's timeout were used, a flood of UDP would evict TCP
//      flows that are idle but live.
//   2. closing
//   3. new and unconfirmed: only a SYN was seen, so a SYN flood evicts its own records
//   4. old: can be derived again, but only until T is over, and an idle flow may not send before
//      (docs/decisions/0015)
//   5. all others
// With live flows only, evictions begin when the table is half full. Up to 60 % full they stay
// below one in a thousand insertions.
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

inline constexpr uint32_t kTicksPerSecond = 4;  // coarse ticks
inline constexpr uint32_t kTickMask = (1U << 24) - 1;
inline constexpr uint32_t kRecordsPerBucket = 4;

// Workers read the clock at different moments, so a record's last_seen may be later than now. An
// age within a minute of the clock's period of 48 days means that, and counts as 0.
inline constexpr uint32_t kClockSlackTicks = 60 * kTicksPerSecond;

// Ticks from `tick` to `now_tick`, modulo 2^24; 0 if `tick` is up to a minute after `now_tick`.
inline uint32_t AgeTicks(uint32_t tick, uint32_t now_tick) {
  const uint32_t age = (now_tick - tick) & kTickMask;
  return age > kTickMask - kClockSlackTicks ? 0 : age;
}

// After a FIN or RST, a flow counts as ended this long after its last packet, unless it sends data
// again. Long enough for the last ACKs of a close, and short enough that a drain ends soon after
// its last flow.
inline constexpr uint32_t kClosingTicks = 10 * kTicksPerSecond;

enum RecordFlags : uint8_t {
  // Class old, else class new. Class old: made for a flow older than its slot's change, while the
  // slot is shifting. If it is lost, the flow's next packet makes it again.
  kRecordOld = 0x01,
  kRecordConfirmed = 0x02,  // a packet other than a SYN came after the one that made the record
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
  // Ticks since last seen.
  uint32_t AgeTicks(uint32_t now_tick) const {
    return fairlead::AgeTicks(last_seen_tick, now_tick);
  }
};

// True if `record` does not belong to a live flow, for a service with that idle timeout (T in the other
// comments).
inline bool IsExpired(const FlowRecord& record, uint32_t now_tick, uint32_t idle_ticks) {
  const uint32_t age = record.AgeTicks(now_tick);
  return age > idle_ticks || ((record.flags & kRecordClosing) != 0 && age > kClosingTicks);
}

// A flow's identity in the table: the flow hash mixed with its service's salt, so that a frontend
// that moves to another service does not take records with it. The slot can be computed from `tag`:
// SlotIndex of (tag ^ salt.low).
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
  // The bytes that a table of `records` needs, including its header. The number of buckets is
  // rounded up to a power of two, at least two. REQUIRES records <= 2^34.
  static size_t BytesNeeded(uint64_t records);

  // Makes an empty table in `memory` (64-byte aligned, at least BytesNeeded(records) long, outlives
  // the table).
  static FlowTable Format(std::span<std::byte> memory, uint64_t records);

  // As Format, for `memory` that is zero already. Writes only the header.
  static FlowTable FormatZeroedMemory(std::span<std::byte> memory, uint64_t records);
  // The table that FormatZeroedMemory will make in `memory`. REQUIRES that it is not used before
  // that.
  static FlowTable ViewOfUnformatted(std::span<std::byte> memory, uint64_t records);

  // Attaches to a table that an earlier process left in `memory`. Fails if layout version, size or
  // magic differ. Frees half-written records. Sets `records`, unless it is null, to the number of
  // records, which may be of flows that have ended. REQUIRES no concurrent user, and 64-byte
  // alignment.
  static Result<FlowTable> Attach(std::span<std::byte> memory, uint64_t* records = nullptr);

  struct Census {
    uint64_t capacity_records = 0;
    uint64_t records = 0;  // as in Attach
  };
  // Counts the records of a table that another process may be using. Reads only. Fails as Attach
  // does. REQUIRES 64-byte alignment.
  static Result<Census> Count(std::span<const std::byte> memory);

  uint64_t capacity_records() const { return (bucket_mask_ + 1) * kRecordsPerBucket; }

  // Prefetches both candidate buckets. For a burst, prefetch all before the first Find.
  // (always_inline: see PrefetchLine.)
  [[gnu::always_inline]] void Prefetch(const RecordKey& key) const {
    PrefetchLine(&buckets_[FirstBucket(key)]);
    PrefetchLine(&buckets_[SecondBucket(key)]);
  }

  // Where a record was found. After the record is replaced, updates through the handle do nothing.
  struct Handle {
    uint32_t bucket = 0;
    uint32_t index = 0;
    uint64_t value = 0;  // as read
  };

  // Any thread. True if the flow has a record, whatever its age; fills `handle`.
  bool Find(const RecordKey& key, Handle* handle) const;

  // Any thread. Replaces the value of the record at `handle` if tag and value are unchanged. False
  // if another thread changed it first.
  bool Update(const RecordKey& key, const Handle& handle, const FlowRecord& record);

  // Any worker. Stores a record for a flow that has none. Its last_seen_tick must be the current
  // tick. `idle_ticks`: the longest idle timeout of all services; it decides which other records
  // are expired. Returns kStored, kEvicted (stored in place of a live record), or kContended (a
  // race was lost; nothing was stored).
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
  struct Place;  // where Insert stores a record

  // The number of buckets, if `memory` has a table that this build can use.
  static Result<uint64_t> CheckHeader(std::span<const std::byte> memory);

  FlowTable(Bucket* buckets, uint64_t bucket_mask) : buckets_(buckets), bucket_mask_(bucket_mask) {}

  uint64_t FirstBucket(const RecordKey& key) const { return key.buckets & bucket_mask_; }
  // Never the first one, since there are at least two buckets.
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

// Eight comparisons without a branch between them, then one branch. Which of the eight matches
// cannot be predicted, but whether one matches nearly always can.
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
  // The value's load acquires the writer's release: a reader of a new value also sees the claim.
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
