#include <optional>

#include "dataplane/pipeline/originate.h"
#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/icmp_error.h"
#include "lib/table/select.h"

namespace fairlead {
namespace {

// The backend that a packet going on with this flow would get; nothing is recorded.
Selection Look(const PipelineContext& context, const ServiceEntry& service, const FlowHash& hash,
               uint8_t protocol) {
  const PacketFacts facts{protocol, kTcpAck, false};
  const uint32_t word = SlotWord(service, hash)->load(std::memory_order_relaxed);
  FlowTable::Handle handle;
  std::optional<FlowRecord> record;
  if (NeedsRecord(service, protocol, word) &&
      context.flows->Find(RecordKey::Make(hash, service.salt), &handle)) {
    record = FlowRecord::Unpack(handle.value);
  }
  return ExplainBackend(*context.tables, service, word, facts, context.now_tick,
                        record ? &*record : nullptr);
}

void ForwardError(PipelineContext& context, Burst& burst, uint32_t i) {
  IcmpError error;
  const DropReason refusal =
      ReadIcmpError(burst.frame[i], burst.linear_length[i], burst.packet[i], &error);
  if (refusal != DropReason::kNone) return burst.Drop(i, refusal);
  const ForwardingTables& tables = *context.tables;
  const uint32_t index = tables.frontends().FindDestination(error.key);
  if (index == kNoService) return burst.Drop(i, DropReason::k_no_frontend);
  const ServiceEntry& service = tables.services()[index];
  burst.service[i] = index;
  burst.hash[i] = HashFlow(error.key, service.hash_policy, tables.hash_seed());
  const Selection selection = Look(context, service, burst.hash[i], error.protocol);
  burst.backend[i] = selection.backend_index;
  DropReason reason = DropReason::kNone;
  if (selection.backend_index == kNoIndex) {
    reason = DropReason::k_no_backend;
  } else if (CountsTtl(service.mode) && TtlOf(burst.frame[i], burst.packet[i]) <= 1) {
    reason = DropReason::k_ttl_expired;  // of an error nobody is told
  }
  if (reason == DropReason::kNone) {
    burst.live[burst.live_count++] = static_cast<uint8_t>(i);
    return;
  }
  Add(&context.counters->service(service.counter_index).drops, 1);
  burst.Drop(i, reason);
}

}  // namespace

void ForwardErrors(PipelineContext& context, Burst& burst) {
  for (uint32_t n = 0; n < burst.error_count; ++n) ForwardError(context, burst, burst.error[n]);
}

}  // namespace fairlead
