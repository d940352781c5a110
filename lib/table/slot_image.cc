#include "lib/table/slot_image.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <string>

#include "lib/base/check.h"
#include "lib/snapshot/format.h"

namespace fairlead {
namespace {

constexpr uint64_t kMagic = 0x53544f4c534446;  // "FDSLOTS" as it lies in memory
constexpr uint32_t kVersion = 2;

struct Header {
  uint64_t magic;
  uint32_t version;
  uint32_t service_id;
  uint32_t hash_policy;
  uint32_t slot_count;
  uint64_t hash_seed;
  uint64_t epoch;
  uint64_t saved_count;
  uint64_t digest;  // XXH3-64 of the records, seeded with that of the header with digest 0
};
static_assert(sizeof(Header) == 56);

struct Record {
  uint32_t index_and_state;  // formers << 28 | state << 24 | index
  uint32_t since_tick;
  uint32_t current_id;
  uint32_t stable_id;
};
static_assert(sizeof(Record) == 16);
static_assert(sizeof(SavedFormer) == 8 && kMaxFormers < 16);

uint32_t CountFormers(const SavedSlot& slot) {
  uint32_t count = 0;
  while (count < kMaxFormers && slot.formers[count].id != 0) ++count;
  return count;
}

void Append(std::vector<std::byte>* bytes, const void* from, size_t length) {
  if (length == 0) return;
  const size_t at = bytes->size();
  bytes->resize(at + length);
  std::memcpy(bytes->data() + at, from, length);
}

// Takes `length` bytes from the front of `bytes`; false if there are fewer.
bool Take(std::span<const std::byte>* bytes, void* to, size_t length) {
  if (bytes->size() < length) return false;
  if (length != 0) std::memcpy(to, bytes->data(), length);
  *bytes = bytes->subspan(length);
  return true;
}

uint64_t DigestOf(Header header, std::span<const std::byte> records) {
  header.digest = 0;
  return XXH3_64bits_withSeed(records.data(), records.size(), XXH3_64bits(&header, sizeof(header)));
}

Status Damaged(const std::string& why) { return DataLoss("slot states: " + why); }

}  // namespace

std::vector<std::byte> EncodeSlots(const SavedSlots& saved, uint64_t epoch) {
  Header header{kMagic,
                kVersion,
                saved.service_id,
                static_cast<uint32_t>(saved.hash_policy),
                saved.slot_count,
                saved.hash_seed,
                epoch,
                saved.slots.size(),
                0};
  std::vector<std::byte> bytes(sizeof(header));
  bytes.reserve(sizeof(header) +
                saved.slots.size() * (sizeof(Record) + kMaxFormers * sizeof(SavedFormer)));
  for (const SavedSlot& slot : saved.slots) {
    CHECK(slot.index < kMaxSlotCount);
    const uint32_t count = CountFormers(slot);
    const Record record{count << 28 | static_cast<uint32_t>(slot.state) << 24 | slot.index,
                        slot.since_tick, slot.current_id, slot.stable_id};
    Append(&bytes, &record, sizeof(record));
    Append(&bytes, slot.formers, count * sizeof(SavedFormer));
  }
  header.digest = DigestOf(header, std::span(bytes).subspan(sizeof(header)));
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

Result<SavedSlots> DecodeSlots(std::span<const std::byte> bytes, uint64_t epoch) {
  Header header;
  if (bytes.size() < sizeof(header)) {
    return Damaged("length: " + std::to_string(bytes.size()) + " bytes are too few for a header");
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMagic) return Damaged("magic: is foreign; not a file of slot states");
  if (header.version != kVersion) {
    return FailedPrecondition("slot states: version: " + std::to_string(header.version) +
                              " is not " + std::to_string(kVersion) +
                              ", the only one that this build accepts");
  }
  auto records = bytes.subspan(sizeof(header));
  if (DigestOf(header, records) != header.digest) return Damaged("digest: does not match");
  if (header.epoch != epoch) {
    return FailedPrecondition("slot states: epoch: they are from before the host was booted");
  }
  SavedSlots saved{header.service_id,
                   static_cast<HashPolicy>(header.hash_policy),
                   header.slot_count,
                   header.hash_seed,
                   {}};
  while (!records.empty()) {
    const auto damaged = [&](const char* why) {
      return Damaged("slots[" + std::to_string(saved.slots.size()) + "]: " + why);
    };
    Record record;
    if (!Take(&records, &record, sizeof(record))) return damaged("length: is cut");
    SavedSlot slot{record.index_and_state & 0xffffff,
                   static_cast<SlotState>(record.index_and_state >> 24 & 0xf),
                   record.since_tick,
                   record.current_id,
                   record.stable_id,
                   {}};
    const bool in_order = saved.slots.empty() || slot.index > saved.slots.back().index;
    if (!in_order || slot.index >= header.slot_count ||
        (slot.state != SlotState::kShifting && slot.state != SlotState::kPinned)) {
      return damaged("index or state is impossible");
    }
    const uint32_t count = record.index_and_state >> 28;
    if (count > kMaxFormers || !Take(&records, slot.formers, count * sizeof(SavedFormer)) ||
        CountFormers(slot) != count) {
      return damaged("its former owners are impossible");
    }
    saved.slots.push_back(slot);
  }
  if (saved.slots.size() != header.saved_count) {
    return Damaged("length: " + std::to_string(saved.slots.size()) + " slots are not " +
                   std::to_string(header.saved_count));
  }
  return saved;
}

}  // namespace fairlead
