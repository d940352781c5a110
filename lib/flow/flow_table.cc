#include "lib/flow/flow_table.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "lib/base/check.h"

namespace fairlead {
namespace {

constexpr uint64_t kMagic = 0x45'4c42'4154'4c46;  // "FLTABLE" as it lies in memory
constexpr uint32_t kLayoutVersion = 1;
constexpr uint64_t kMinBuckets = 2;
constexpr uint64_t kMaxBuckets = uint64_t{1} << 32;  // a candidate is 32 bits of the hash

constexpr uint64_t kFree = 0;
constexpr uint64_t kBeingWritten = 1;

uint64_t BucketsFor(uint64_t records) {
  const uint64_t buckets = (records + kRecordsPerBucket - 1) / kRecordsPerBucket;
  CHECK(buckets <= kMaxBuckets);
  return std::bit_ceil(std::max(buckets, kMinBuckets));
}

// The lowest rank is evicted first. Expired records, including closing ones, are handled before.
uint32_t EvictionRank(const FlowRecord& record) {
  if ((record.flags & kRecordClosing) != 0) return 1;
  if ((record.flags & (kRecordConfirmed | kRecordOld)) == 0) return 2;
  if ((record.flags & kRecordOld) != 0) return 3;
  return 4;
}

}  // namespace

struct FlowTable::Header {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t record_bytes;
  uint64_t bucket_count;
  uint64_t reserved[5];
};

struct FlowTable::Place {
  Record* record = nullptr;  // null: the flow has a record already, or all are being written
  uint64_t tag = kFree;      // tag and value when it was chosen
  uint64_t value = 0;
  bool live = false;  // it belonged to a flow that is not expired
};

size_t FlowTable::BytesNeeded(uint64_t records) {
  static_assert(sizeof(Header) == 64);
  return sizeof(Header) + BucketsFor(records) * sizeof(Bucket);
}

FlowTable FlowTable::ViewOfUnformatted(std::span<std::byte> memory, uint64_t records) {
  CHECK(memory.size() >= BytesNeeded(records));
  CHECK(reinterpret_cast<uintptr_t>(memory.data()) % alignof(Bucket) == 0);
  return {reinterpret_cast<Bucket*>(memory.data() + sizeof(Header)), BucketsFor(records) - 1};
}

FlowTable FlowTable::FormatZeroedMemory(std::span<std::byte> memory, uint64_t records) {
  static_assert(kFree == 0);
  const FlowTable table = ViewOfUnformatted(memory, records);
  const Header header{kMagic, kLayoutVersion, sizeof(Record), table.bucket_count(), {}};
  std::memcpy(memory.data(), &header, sizeof(header));
  return table;
}

FlowTable FlowTable::Format(std::span<std::byte> memory, uint64_t records) {
  const FlowTable table = FormatZeroedMemory(memory, records);
  for (uint64_t b = 0; b < table.bucket_count(); ++b) new (&table.buckets_[b]) Bucket{};
  return table;
}

// Only the header can be checked: any 16 bytes are a possible record. A lookup that finds a damaged
// one gets a backend id that is unknown or not its service's, and the record is replaced.
Result<uint64_t> FlowTable::CheckHeader(std::span<const std::byte> memory) {
  CHECK(reinterpret_cast<uintptr_t>(memory.data()) % alignof(Bucket) == 0);
  Header header;
  if (memory.size() < sizeof(header)) {
    return DataLoss("flow table: " + std::to_string(memory.size()) +
                    " bytes are too few for a header");
  }
  std::memcpy(&header, memory.data(), sizeof(header));
  if (header.magic != kMagic) return DataLoss("flow table: magic: this is no flow table");
  if (header.layout_version != kLayoutVersion || header.record_bytes != sizeof(Record)) {
    return FailedPrecondition(
        "flow table: layout version: " + std::to_string(header.layout_version) + " is not " +
        std::to_string(kLayoutVersion) + ", the only one that this build accepts");
  }
  if (!std::has_single_bit(header.bucket_count) || header.bucket_count < kMinBuckets ||
      header.bucket_count > kMaxBuckets ||
      memory.size() - sizeof(header) < header.bucket_count * sizeof(Bucket)) {
    return DataLoss("flow table: bucket count: " + std::to_string(header.bucket_count) +
                    " does not match a mapping of " + std::to_string(memory.size()) + " bytes");
  }
  return header.bucket_count;
}

Result<FlowTable> FlowTable::Attach(std::span<std::byte> memory, uint64_t* records) {
  ASSIGN_OR_RETURN(const uint64_t bucket_count, CheckHeader(memory));
  auto* buckets = reinterpret_cast<Bucket*>(memory.data() + sizeof(Header));
  uint64_t found = 0;
  for (uint64_t b = 0; b < bucket_count; ++b) {
    for (Record& record : buckets[b].records) {
      const uint64_t tag = record.tag.load(std::memory_order_relaxed);
      found += tag > kBeingWritten ? 1 : 0;
      if (tag == kBeingWritten) record.tag.store(kFree, std::memory_order_relaxed);
    }
  }
  if (records != nullptr) *records = found;
  return FlowTable(buckets, bucket_count - 1);
}

Result<FlowTable::Census> FlowTable::Count(std::span<const std::byte> memory) {
  ASSIGN_OR_RETURN(const uint64_t bucket_count, CheckHeader(memory));
  Census census{bucket_count * kRecordsPerBucket, 0};
  const auto* buckets = reinterpret_cast<const Bucket*>(memory.data() + sizeof(Header));
  for (uint64_t b = 0; b < bucket_count; ++b) {
    for (const Record& record : buckets[b].records) {
      census.records += record.tag.load(std::memory_order_relaxed) > kBeingWritten ? 1 : 0;
    }
  }
  return census;
}

// Marks `record` as being written if it still has (tag, value). Otherwise returns false and changes
// nothing. On success the caller stores value (release), then tag (release).
bool FlowTable::Claim(Record* record, uint64_t tag, uint64_t value) {
  uint64_t expected = tag;
  if (!record->tag.compare_exchange_strong(expected, kBeingWritten, std::memory_order_acq_rel,
                                           std::memory_order_relaxed)) {
    return false;
  }
  // For a free record only the tag matters. Otherwise another worker may have touched the record
  // since the caller read it.
  if (tag == kFree || record->value.load(std::memory_order_acquire) == value) return true;
  record->tag.store(tag, std::memory_order_release);
  return false;
}

bool FlowTable::Update(const RecordKey& key, const Handle& handle, const FlowRecord& record) {
  Record& place = buckets_[handle.bucket].records[handle.index];
  const uint64_t desired = record.Pack();
  uint64_t expected = handle.value;
  if (FlowRecord::Unpack(handle.value).backend_id == record.backend_id) {
    // A touch, during which lookups continue. If another flow has taken the record in the meantime,
    // it has the same value, else the exchange fails: the same backend, seen in the same tick. So
    // at most its flags change.
    return place.tag.load(std::memory_order_acquire) == key.tag &&
           place.value.compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                               std::memory_order_relaxed);
  }
  // Another backend: claim the record first, or this could move another flow.
  if (!Claim(&place, key.tag, handle.value)) return false;
  // The exchange is still needed: a worker that read the tag before the claim may touch the value.
  const bool changed = place.value.compare_exchange_strong(
      expected, desired, std::memory_order_acq_rel, std::memory_order_relaxed);
  place.tag.store(key.tag, std::memory_order_release);
  return changed;
}

FlowTable::Place FlowTable::ChoosePlace(const RecordKey& key, uint32_t now_tick,
                                        uint32_t idle_ticks) const {
  Record* free_record = nullptr;
  uint32_t most_free = 0;
  for (const uint64_t b : {FirstBucket(key), SecondBucket(key)}) {
    uint32_t free_count = 0;
    Record* last_free = nullptr;
    for (Record& record : buckets_[b].records) {
      const uint64_t tag = record.tag.load(std::memory_order_acquire);
      if (tag == key.tag) return {};
      const bool is_free = tag == kFree;
      free_count += is_free ? 1 : 0;
      last_free = is_free ? &record : last_free;
    }
    // Takes the emptier bucket, so that both fill evenly. The first eviction then occurs at half
    // full instead of a fifth, and at 60 % full one insertion in 3,000 evicts instead of one in 90.
    if (free_count > most_free) {
      most_free = free_count;
      free_record = last_free;
    }
  }
  if (free_record != nullptr) return {free_record, kFree, 0, false};
  return ChooseVictim(key, now_tick, idle_ticks);
}

FlowTable::Place FlowTable::ChooseVictim(const RecordKey& key, uint32_t now_tick,
                                         uint32_t idle_ticks) const {
  Place victim;
  // (rank, inverted age): the smallest is evicted.
  std::pair<uint32_t, uint32_t> victim_order(UINT32_MAX, UINT32_MAX);
  for (const uint64_t b : {FirstBucket(key), SecondBucket(key)}) {
    for (Record& record : buckets_[b].records) {
      const uint64_t tag = record.tag.load(std::memory_order_acquire);
      if (tag <= kBeingWritten) continue;
      const uint64_t value = record.value.load(std::memory_order_acquire);
      const FlowRecord held = FlowRecord::Unpack(value);
      const bool live = !IsExpired(held, now_tick, idle_ticks);
      const std::pair<uint32_t, uint32_t> order(live ? EvictionRank(held) : 0,
                                                kTickMask - held.AgeTicks(now_tick));
      if (order < victim_order) {
        victim_order = order;
        victim = {&record, tag, value, live};
      }
    }
  }
  return victim;
}

FlowTable::InsertResult FlowTable::Insert(const RecordKey& key, const FlowRecord& record,
                                          uint32_t idle_ticks) {
  DCHECK(key.tag > kBeingWritten);
  // After a lost race it tries once more, then gives up.
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Place place = ChoosePlace(key, record.last_seen_tick, idle_ticks);
    if (place.record == nullptr) break;
    if (!Claim(place.record, place.tag, place.value)) continue;
    place.record->value.store(record.Pack(), std::memory_order_release);
    place.record->tag.store(key.tag, std::memory_order_release);
    return place.live ? InsertResult::kEvicted : InsertResult::kStored;
  }
  return InsertResult::kContended;
}

bool FlowTable::Erase(uint32_t bucket, uint32_t index, uint64_t tag, uint64_t value) {
  Record& record = buckets_[bucket].records[index];
  if (tag <= kBeingWritten || !Claim(&record, tag, value)) return false;
  record.tag.store(kFree, std::memory_order_release);
  return true;
}

}  // namespace fairlead
