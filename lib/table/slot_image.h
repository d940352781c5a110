// The unsettled slots of one service as bytes. A restarted dataplane needs them in addition to the
// snapshot, from which it derives the settled slots. Owners are backend ids, since local indices
// change with the generation. Little-endian.
//
//   header   magic, version, service id, hash policy, slot count, hash seed, epoch, slots, digest
//   slot     16 bytes each: index (24 bits) | state (4) | formers (4), first change (tick),
//            current id, stable id; then, for each former owner (second chance), newest first,
//            8 bytes: its id, when it ceased to be the owner (tick)
//
// Without the former owners a restart would break more flows than the balancer's absence: the
// candidate lists, which correct wrong records, would be lost (bench/pcc, lost-rehash).
//
// An image may be older than the last state of the slots. A slot that has settled since is then
// pinned again until the first sweep.
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
  uint32_t current_id = 0;  // 0 = no owner
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

// `epoch`: the host's boot, from which the ticks are counted. An image of another epoch is refused.
std::vector<std::byte> EncodeSlots(const SavedSlots& saved, uint64_t epoch);

// Never trusts the bytes. kFailedPrecondition for another layout version or epoch, kDataLoss for
// damaged bytes.
Result<SavedSlots> DecodeSlots(std::span<const std::byte> bytes, uint64_t epoch);

}  // namespace fairlead
