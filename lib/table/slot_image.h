// The unsettled slots of one service as bytes: what a restarted dataplane needs besides the snapshot
// (settled slots follow from that). Owners are named by backend id, since local indices are a
// generation's. Little-endian.
//
//   header   magic, version, service id, hash policy, slot count, hash seed, epoch, slots, digest
//   slot     16 bytes each: index (24 bits) | state (4) | formers (4), first change (tick),
//            current id, stable id; and then, for each former owner (second chance), newest first,
//            8 bytes: its id, the end of its time (tick)
//
// Without the former owners a restart would cost more flows than the balancer's absence: the lists
// that set wrong records right would have to begin anew (bench/pcc, lost-rehash).
//
// An image may be older than the slots were in the end: a slot that has settled since is then
// pinned once more, until the first sweep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/flow/flow_hash.h"
#include "lib/table/slot_table.h"

namespace fairlead {

struct SavedFormer {
  uint32_t id = 0;  // 0 ends the list
  uint32_t until_tick = 0;
};

struct SavedSlot {
  uint32_t index = 0;
  SlotState state = SlotState::kShifting;
  uint32_t since_tick = 0;
  uint32_t current_id = 0;  // 0 = nobody
  uint32_t stable_id = 0;
  SavedFormer formers[kMaxFormers] = {};
};

struct SavedSlots {
  uint32_t service_id = 0;
  HashPolicy hash_policy = HashPolicy::kFiveTuple;
  uint32_t slot_count = 0;
  uint64_t hash_seed = 0;
  std::vector<SavedSlot> slots;  // ascending
};

// `epoch`: what the ticks are counted from (the host's boot); an image of another one is of no use.
std::vector<std::byte> EncodeSlots(const SavedSlots& saved, uint64_t epoch);

// Never trusts the bytes. kFailedPrecondition for another layout version or epoch, kDataLoss for
// what is damaged.
Result<SavedSlots> DecodeSlots(std::span<const std::byte> bytes, uint64_t epoch);

}  // namespace fairlead
