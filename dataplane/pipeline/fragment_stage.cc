// The first fragment of a datagram records its routing decision in the FragmentMap; later ones
// apply it. A decision must mean the same to workers that use tables of different generations, so
// it holds no index:
//
//   bit 63..33  upper 31 bits of the flow's entropy (to a backend)
//   bit 32      0: to a backend; 1: from one, or the kernel's
//   bit 31..0   to a backend: its id, never 0
//               from one: protocol << 16 | source port in host order; 0: the kernel's
//
// All fragments of a datagram get the entropy that the decision holds, twice 31 bits, so that the
// same outer port, flow label and source carry them.
#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/fragment.h"

namespace fairlead {
namespace {

constexpr uint64_t kAwayBit = uint64_t{1} << 32;

uint64_t ToBackend(uint32_t backend_id, const FlowHash& hash) {
  return hash.high >> 33 << 33 | backend_id;
}
uint64_t FromBackend(uint8_t protocol, uint16_t port) {
  return kAwayBit | uint64_t{protocol} << 16 | port;
}
uint64_t EntropyOf(uint64_t decision) { return decision >> 33 << 33 | decision >> 33; }

FlowHash DatagramOf(const PipelineContext& context, const Burst& burst, uint32_t i) {
  return context.fragments->map().Identify(
      FragmentKey(burst.frame[i], burst.packet[i], burst.key[i]));
}

// To the backend that the decision names. False with the packet dropped.
bool AimAtBackend(PipelineContext& context, Burst& burst, uint32_t i, uint64_t decision) {
  const ForwardingTables& tables = *context.tables;
  const BackendEntry* backend = tables.FindBackend(static_cast<uint32_t>(decision));
  if ((decision & kAwayBit) != 0 || backend == nullptr || backend->state == BackendState::kDown) {
    DropPacket(context, burst, i, DropReason::k_no_backend);
    return false;
  }
  burst.service[i] = backend->service_index;
  burst.backend[i] = static_cast<uint32_t>(backend - tables.backends().data());
  burst.hash[i].high = EntropyOf(decision);
  return JudgeTtl(context, burst, i);
}

void AimAtClient(PipelineContext& context, Burst& burst, uint32_t i, uint64_t decision) {
  const auto protocol = static_cast<uint8_t>(decision >> 16);
  const auto port = static_cast<uint16_t>(decision);
  const NatTable& nat = context.tables->nat();
  const NatRow* row = protocol == 0 ? nullptr : nat.FindSource(burst.key[i], protocol, port);
  if (row == nullptr) {
    burst.verdict[i] = Verdict::kToKernel;
    return;
  }
  burst.nat_row[i] = row;
  burst.replies.Add(i);
}

// Of the live packets, which are to frontends. A datagram that has a decision already keeps it.
void RecordDecisions(PipelineContext& context, Burst& burst) {
  burst.live.KeepIf([&](uint32_t i) {
    if (!burst.packet[i].is_fragment) return true;
    const uint64_t decision =
        ToBackend(context.tables->backends()[burst.backend[i]].id, burst.hash[i]);
    const uint64_t standing =
        context.fragments->First(DatagramOf(context, burst, i), decision, context.now_tick);
    return AimAtBackend(context, burst, i, standing);
  });
}

void FollowLater(PipelineContext& context, Burst& burst, uint32_t i) {
  uint64_t decision = 0;
  const uint64_t held = context.buffers->Hold(burst, i);
  const FlowHash datagram = DatagramOf(context, burst, i);
  switch (context.fragments->Later(datagram, held, context.now_tick, &decision)) {
    case FragmentStore::Outcome::kForward:
      ApplyDecision(context, burst, i, decision);
      break;
    case FragmentStore::Outcome::kHeld:
      burst.verdict[i] = Verdict::kHeld;
      break;
    case FragmentStore::Outcome::kRefused:
      // As ReleaseFragments judges those that made room.
      if (context.tables->frontends().HasDestination(burst.key[i])) {
        DropPacket(context, burst, i, DropReason::k_fragment_evicted);
      } else {
        burst.verdict[i] = Verdict::kToKernel;  // from a nat backend, and perhaps none of nat's
      }
      break;
  }
}

}  // namespace

void ApplyDecision(PipelineContext& context, Burst& burst, uint32_t i, uint64_t decision) {
  if (!context.tables->frontends().HasDestination(burst.key[i])) {
    // What a frontend's datagram said means nothing once the address is no frontend's any more.
    AimAtClient(context, burst, i, (decision & kAwayBit) != 0 ? decision : kAwayBit);
  } else if (AimAtBackend(context, burst, i, decision)) {
    burst.live.Add(i);
  }
}

void FollowFragments(PipelineContext& context, Burst& burst) {
  if (context.fragments == nullptr || context.buffers == nullptr) {
    for (const uint32_t i : burst.fragments) {
      DropPacket(context, burst, i, DropReason::k_fragment);
    }
    return;
  }
  if (burst.has_first_fragment) RecordDecisions(context, burst);
  for (const uint32_t i : burst.fragments) FollowLater(context, burst, i);
}

void RecordReplyDecision(PipelineContext& context, const Burst& burst, uint32_t i,
                         bool translated) {
  const FlowKey& key = burst.key[i];
  const uint64_t decision = translated ? FromBackend(key.protocol(), key.source_port()) : kAwayBit;
  context.fragments->First(DatagramOf(context, burst, i), decision, context.now_tick);
}

}  // namespace fairlead
