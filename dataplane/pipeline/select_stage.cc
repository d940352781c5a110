#include <cstring>

#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/originate.h"
#include "dataplane/pipeline/stages.h"
#include "lib/flow/flow_hash_burst.h"
#include "lib/flow/flow_hash_inline.h"
#include "lib/table/select.h"

namespace fairlead {
namespace {

PacketFacts FactsOf(const ParsedPacket& packet) {
  return {packet.l4_protocol, packet.tcp_flags, packet.has_payload};
}

using SlotPointers = const std::atomic<uint32_t>* [kMaxBurst];

// Hashes the packets and prefetches their slots, so that the cache misses of a burst overlap.
// Records and backends are prefetched when the slots are read. `slots`: by index in `live`.
void HashAndPrefetch(const PipelineContext& context, Burst& burst, SlotPointers& slots) {
  const ForwardingTables& tables = *context.tables;
  const ServiceEntry* services = tables.services().data();
  const uint64_t seed = tables.hash_seed();
  const NextBurst next_burst = context.next_burst;
  const uint32_t live_count = burst.live.count;
  for (uint32_t n = 0; n < live_count; ++n) {
    const uint32_t i = burst.live.place[n];
    const ServiceEntry& service = services[burst.service[i]];
    const FlowHash hash = HashFlowInline(burst.key[i], service.hash_policy, seed);
    burst.hash[i] = hash;
    slots[n] = PrefetchSlot(service, hash);
    next_burst.PrefetchFrame(n);
  }
}

const HashIpv4Keys hash_ipv4_keys = FastestHashIpv4Keys();

// The same for a burst of only IPv4 packets, whose services all hash the 5-tuple.
void HashIpv4AndPrefetch(const PipelineContext& context, Burst& burst, SlotPointers& slots) {
  static_assert(kMaxBurst % kHashLanes == 0 && sizeof(Ipv4KeyWords) == 16);
  const ForwardingTables& tables = *context.tables;
  const ServiceEntry* services = tables.services().data();
  const uint32_t live_count = burst.live.count;
  alignas(64) Ipv4KeyWords keys[kMaxBurst];
  alignas(64) FlowHash hashes[kMaxBurst];
  for (uint32_t n = 0; n < live_count; ++n) {
    std::memcpy(&keys[n], burst.key[burst.live.place[n]].words.data(), sizeof(keys[n]));
  }
  hash_ipv4_keys(keys, live_count, tables.hash_seed(), hashes);
  const NextBurst next_burst = context.next_burst;
  for (uint32_t n = 0; n < live_count; ++n) {
    const uint32_t i = burst.live.place[n];
    burst.hash[i] = hashes[n];
    slots[n] = PrefetchSlot(services[burst.service[i]], hashes[n]);
    next_burst.PrefetchFrame(n);
  }
}

// Prefetches data for Rewrite. (always_inline: see FlowTable::Prefetch.)
[[gnu::always_inline]] inline void PrefetchBackend(const ForwardingTables& tables,
                                                   const ServiceEntry& service, uint32_t index) {
  __builtin_prefetch(&tables.backends()[index]);
  if (service.is_tunnel()) __builtin_prefetch(&tables.tunnel(index));
}

void CountSelection(WorkerCounters* counters, const BackendEntry& backend, const PacketFacts& facts,
                    const Selection& selection) {
  bool is_new = false;
  if (selection.stored) {
    is_new = selection.reason != SelectReason::kStable;
    Add(is_new ? &counters->new_flows : &counters->old_flows, 1);
    if (selection.evicted) Add(&counters->evicted, 1);
  } else {
    is_new = IsSyn(facts) && selection.reason != SelectReason::kRecorded;
    if (selection.reason == SelectReason::kUntracked) Add(&counters->untracked, 1);
  }
  if (is_new) Add(&counters->backend(backend.counter_index).new_flows, 1);
}

// Packets whose backend does not depend on the slot alone: their service records every flow, or
// their slot is not settled.
struct Undecided {
  uint32_t count = 0;
  bool any_without_backend = false;  // in the whole burst
  uint8_t packet[kMaxBurst];
  uint32_t word[kMaxBurst];
};

// Gives the packets of settled slots their backends, and prefetches the records of the others.
void SelectBySlot(PipelineContext& context, Burst& burst, const SlotPointers& slots,
                  Undecided* undecided) {
  const ForwardingTables& tables = *context.tables;
  const ServiceEntry* services = tables.services().data();
  const BackendEntry* backends = tables.backends().data();
  const uint32_t live_count = burst.live.count;
  for (uint32_t n = 0; n < live_count; ++n) {
    const uint32_t i = burst.live.place[n];
    const ServiceEntry& service = services[burst.service[i]];
    const ParsedPacket& packet = burst.packet[i];
    const uint32_t word = slots[n]->load(std::memory_order_relaxed);
    // Two predictable tests come before the exact one.
    if ((!Slot::IsSettled(word) || !service.records_only_differences) &&
        NeedsRecord(service, packet.l4_protocol, word)) {
      context.flows->Prefetch(RecordKey::Make(burst.hash[i], service.salt));
      undecided->word[undecided->count] = word;
      undecided->packet[undecided->count++] = static_cast<uint8_t>(i);
      continue;
    }
    const uint32_t current = Slot::Unpack(word).current;
    if (current == kNoOwner) [[unlikely]] {
      burst.backend[i] = kNoIndex;
      undecided->any_without_backend = true;
      continue;
    }
    const uint32_t owner = service.first_backend + current;
    burst.backend[i] = owner;
    PrefetchBackend(tables, service, owner);
    if (IsSynFlags(packet.tcp_flags)) [[unlikely]] {  // tcp_flags is 0 for other protocols
      Add(&context.counters->backend(backends[owner].counter_index).new_flows, 1);
    }
  }
}

void SelectByRecord(PipelineContext& context, Burst& burst, Undecided* undecided) {
  const ForwardingTables& tables = *context.tables;
  const BackendEntry* backends = tables.backends().data();
  for (uint32_t n = 0; n < undecided->count; ++n) {
    const uint32_t i = undecided->packet[n];
    const ServiceEntry& service = tables.services()[burst.service[i]];
    const PacketFacts facts = FactsOf(burst.packet[i]);
    const Selection selection = SelectTracked(tables, service, undecided->word[n], burst.hash[i],
                                              facts, context.now_tick, context.flows);
    burst.backend[i] = selection.backend_index;
    if (selection.backend_index == kNoIndex) {
      undecided->any_without_backend = true;
      continue;
    }
    PrefetchBackend(tables, service, selection.backend_index);
    CountSelection(context.counters, backends[selection.backend_index], facts, selection);
  }
}

void DropWithoutBackend(PipelineContext& context, Burst& burst) {
  const ServiceEntry* services = context.tables->services().data();
  burst.live.KeepIf([&](uint32_t i) {
    if (burst.backend[i] != kNoIndex) return true;
    const uint32_t flags = services[burst.service[i]].flags;
    if ((flags & kServiceResetNoBackend) != 0) RefuseClient(context, burst, i);
    DropPacket(context, burst, i, DropReason::k_no_backend);
    return false;
  });
}

}  // namespace

void SelectBackends(PipelineContext& context, Burst& burst) {
  if (burst.live.count == 0) return;
  SlotPointers slots;
  if (burst.any_ipv6 || context.tables->other_hash_policies()) {
    HashAndPrefetch(context, burst, slots);
  } else {
    HashIpv4AndPrefetch(context, burst, slots);
  }
  Undecided undecided;
  SelectBySlot(context, burst, slots, &undecided);
  SelectByRecord(context, burst, &undecided);
  if (undecided.any_without_backend) DropWithoutBackend(context, burst);
}

}  // namespace fairlead
