// The flow table: which backend a flow was given, for flows whose hash alone would not tell.
//
// One fixed block of memory, shared by all workers and the management thread, lock-free,
// position-independent (it may be a file mapping that the next dataplane process takes up again).
//
//   header (64 bytes) | bucket[0] | bucket[1] | ... | bucket[bucket_count - 1]        bucket_count
//   = 2^n bucket (64 bytes, one cache line) = 4 records of 16 bytes record = tag (64 bits) | value
//   (64 bits)
//
//   tag    0 free, 1 being written, else the flow hash's low word salted with its service
//   value  63........32 31........8 7......0
//          backend id   last seen   flags
//          last seen: coarse ticks of 250 ms, modulo 2^24 (48 days)
//
// A flow may live in two buckets (from the hash's high word), so a lookup compares 8 tags of 64
// bits that are independent of the bucket choice: false-match probability at most 8 * 2^-64 =
// 2^-61.
//
// Protocol between threads. A writer claims a record by compare-and-swap of its tag to 1, stores
// the value, then stores the new tag (release). A reader loads tag, value, tag again; a changed tag
// is a miss. A value of a held tag changes only by compare-and-swap, so a touch never resurrects a
// replaced record. Nobody waits: who loses a race treats the packet as untracked (counted by the
// caller).
//
// Eviction, when all eight records are taken, in this order: idle for longer than the flow's own
// timeout; closing; pinned (can be derived again); unconfirmed (one packet only: a SYN flood
// displaces itself); then the oldest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/result.h"
#include "lib/flow/flow_hash.h"

namespace fairlead {

inline constexpr uint32_t kTicksPerSecond = 4;  // coarse clock
inline constexpr uint32_t kTickMask = (1U << 24) - 1;
inline constexpr uint32_t kRecordsPerBucket = 4;

enum RecordFlags : uint8_t {
  kRecordPinned =
      0x01,  // class pinned: made for a flow older than its slot's change; else class new
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
  // Ticks since last seen; modulo arithmetic.
  uint32_t AgeTicks(uint32_t now_tick) const { return (now_tick - last_seen_tick) & kTickMask; }
};

// A flow's identity in the table: the flow hash mixed with its service's salt, since under 3-tuple
// and source-ip two services may see the same key. `tag` gives back the slot: SlotIndex of (tag ^
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
  // Rounds `records` up to a power of two of buckets; the bytes that a table of that many needs,
  // header included.
  static size_t BytesNeeded(uint64_t records);

  // Makes an empty table in `memory` (64-byte aligned, BytesNeeded(records) long, outlives the
  // table).
  static FlowTable Format(std::span<std::byte> memory, uint64_t records);

  // Takes up a table that an earlier process left in `memory`. Fails when layout version, size or
  // magic differ. Records left half-written are freed. REQUIRES no concurrent user.
  static Result<FlowTable> Attach(std::span<std::byte> memory);

  uint64_t capacity_records() const { return (bucket_mask_ + 1) * kRecordsPerBucket; }

  void Prefetch(const RecordKey& key) const;

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

  // Any worker. Stores a record for a flow that has none. `idle_ticks`: the flow's service's idle
  // timeout, by which others' age is judged. Outcome: kStored, kEvicted (stored in place of a live
  // record), or kContended (a race was lost; nothing stored).
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

  Bucket* buckets_ = nullptr;
  uint64_t bucket_mask_ = 0;
};

template <typename Visitor>
void FlowTable::Sweep(uint64_t first, uint64_t count, Visitor&& visit) const {
  for (uint64_t b = first; b < first + count && b <= bucket_mask_; ++b) {
    for (uint32_t i = 0; i < kRecordsPerBucket; ++i) {
      const Record& record = buckets_[b].records[i];
      const uint64_t tag = record.tag.load(std::memory_order_acquire);
      if (tag < 2) continue;
      const uint64_t value = record.value.load(std::memory_order_acquire);
      if (record.tag.load(std::memory_order_acquire) != tag) continue;
      visit(static_cast<uint32_t>(b), i, tag, FlowRecord::Unpack(value));
    }
  }
}

}  // namespace fairlead
