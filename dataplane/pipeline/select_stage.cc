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

// The misses of a burst overlap: slots are asked for here, records and backends as the slots are
// read. `slots`: by place in `live`.
void HashAndPrefetch(const PipelineContext& context, Burst& burst, SlotPointers& slots) {
  const ForwardingTables& tables = *context.tables;
  const ServiceEntry* services = tables.services().data();
  const uint64_t seed = tables.hash_seed();
  const ComingBurst coming = context.coming;
  const uint32_t live_count = burst.live.count;
  for (uint32_t n = 0; n < live_count; ++n) {
    const uint32_t i = burst.live.place[n];
    const ServiceEntry& service = services[burst.service[i]];
    const FlowHash hash = HashFlowInline(burst.key[i], service.hash_policy, seed);
    burst.hash[i] = hash;
    slots[n] = PrefetchSlot(service, hash);
    coming.AskForFrame(n);
  }
}

const HashIpv4Keys hash_ipv4_keys = FastestHashIpv4Keys();

// The same for a burst of nothing but IPv4, of services that hash the 5-tuple.
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
  const ComingBurst coming = context.coming;
  for (uint32_t n = 0; n < live_count; ++n) {
    const uint32_t i = burst.live.place[n];
    burst.hash[i] = hashes[n];
    slots[n] = PrefetchSlot(services[burst.service[i]], hashes[n]);
    coming.AskForFrame(n);
  }
}

// What Rewrite will read. (always_inline: see FlowTable::Prefetch.)
[[gnu::always_inline]] inline void PrefetchBackend(const ForwardingTables& tables,
                                                   const ServiceEntry& service, uint32_t index) {
  __builtin_prefetch(&tables.backends()[index]);
  if (service.is_tunnel()) __builtin_prefetch(&tables.tunnel(index));
}

void CountChoice(WorkerCounters* counters, const BackendEntry& backend, const PacketFacts& facts,
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

// Packets whose slot alone does not tell: those of a service that records every flow, and of slots
// that are not settled.
struct Undecided {
  uint32_t count = 0;
  bool any_without_backend = false;  // of all the burst
  uint8_t packet[kMaxBurst];
  uint32_t word[kMaxBurst];
};

// Gives the packets of settled slots their backends, and asks for the records of the others.
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
    // Two tests that nearly always go the same way, before the one that tells.
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
    if (IsSynFlags(packet.tcp_flags)) [[unlikely]] {  // 0 but in TCP
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
    CountChoice(context.counters, backends[selection.backend_index], facts, selection);
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
