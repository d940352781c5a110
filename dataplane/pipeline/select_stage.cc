#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/stages.h"
#include "lib/flow/flow_hash_inline.h"
#include "lib/table/select.h"

namespace fairlead {
namespace {

// Everything the choice will read is asked for here, so that the misses of a burst overlap.
void HashAndPrefetch(const PipelineContext& context, Burst& burst) {
  const ForwardingTables& tables = *context.tables;
  const ServiceEntry* services = tables.services().data();
  const uint64_t seed = tables.hash_seed();
  const uint32_t live_count = burst.live_count;
  for (uint32_t n = 0; n < live_count; ++n) {
    const uint32_t i = burst.live[n];
    const ServiceEntry& service = services[burst.service[i]];
    burst.hash[i] = HashFlowInline(burst.key[i], service.hash_policy, seed);
    Prefetch(service, burst.hash[i], burst.packet[i].l4_protocol, context.flows);
  }
}

void CountChoice(WorkerCounters* counters, const BackendEntry& backend,
                 const Selection& selection) {
  if (selection.reason == SelectReason::kSlot || selection.reason == SelectReason::kRecorded) {
    return;
  }
  if (selection.reason == SelectReason::kUntracked) {
    Add(&counters->untracked, 1);
    return;
  }
  Add(&counters->backend(backend.counter_index).new_flows, 1);
  Add(&counters->new_flows, 1);
  if (selection.evicted) Add(&counters->evicted, 1);
}

}  // namespace

void SelectBackends(PipelineContext& context, Burst& burst) {
  if (burst.live_count == 0) return;
  HashAndPrefetch(context, burst);

  const ForwardingTables& tables = *context.tables;
  const ServiceEntry* services = tables.services().data();
  const BackendEntry* backends = tables.backends().data();
  uint32_t kept = 0;
  for (uint32_t n = 0; n < burst.live_count; ++n) {
    const uint32_t i = burst.live[n];
    const ServiceEntry& service = services[burst.service[i]];
    const ParsedPacket& packet = burst.packet[i];
    const Selection selection = SelectBackend(
        tables, service, burst.hash[i], {packet.l4_protocol, packet.tcp_flags, packet.has_payload},
        context.now_tick, context.flows);
    burst.backend[i] = selection.backend_index;
    if (selection.backend_index == kNoIndex) {
      burst.Drop(i, DropReason::k_no_backend);
      Add(&context.counters->service(service.counter_index).drops, 1);
      continue;
    }
    const BackendEntry& backend = backends[selection.backend_index];
    __builtin_prefetch(&backend);
    if (!CountsTtl(service.mode)) __builtin_prefetch(&tables.tunnel(selection.backend_index));
    CountChoice(context.counters, backend, selection);
    burst.live[kept++] = static_cast<uint8_t>(i);
  }
  burst.live_count = kept;
}

}  // namespace fairlead
