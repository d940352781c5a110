#include <optional>

#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/icmp_error.h"
#include "lib/table/select.h"

namespace fairlead {
namespace {

// Selects the backend that the next packet of this flow would get. Records nothing.
Selection SelectForError(const PipelineContext& context, const ServiceEntry& service,
                         const FlowHash& hash, uint8_t protocol) {
  const PacketFacts facts{protocol, kTcpAck, false};
  const uint32_t word = SlotAddress(service, hash)->load(std::memory_order_relaxed);
  FlowTable::Handle handle;
  std::optional<FlowRecord> record;
  if (NeedsRecord(service, protocol, word) &&
      context.flows->Find(RecordKey::Make(hash, service.salt), &handle)) {
    record = FlowRecord::Unpack(handle.value);
  }
  return ChooseWithoutRecording(*context.tables, service, word, facts, context.now_tick,
                                record ? &*record : nullptr);
}

void ForwardError(PipelineContext& context, Burst& burst, uint32_t i) {
  IcmpError error;
  const DropReason refusal =
      ReadIcmpError(burst.frame[i], burst.linear_length[i], burst.packet[i], &error);
  if (refusal != DropReason::kNone) return DropPacket(context, burst, i, refusal);
  const ForwardingTables& tables = *context.tables;
  const uint32_t index = tables.frontends().FindDestination(error.key);
  if (index == kNoService) return DropPacket(context, burst, i, DropReason::k_no_frontend);
  const ServiceEntry& service = tables.services()[index];
  burst.service[i] = index;
  burst.hash[i] = HashFlow(error.key, service.hash_policy, tables.hash_seed());
  const Selection selection = SelectForError(context, service, burst.hash[i], error.protocol);
  burst.backend[i] = selection.backend_index;
  if (selection.backend_index == kNoIndex) {
    return DropPacket(context, burst, i, DropReason::k_no_backend);
  }
  if (JudgeTtl(context, burst, i)) burst.live.Add(i);
}

}  // namespace

void ForwardErrors(PipelineContext& context, Burst& burst) {
  for (const uint32_t i : burst.errors) ForwardError(context, burst, i);
}

}  // namespace fairlead
