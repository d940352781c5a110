// The first fragment of a datagram records its routing decision in the FragmentMap. Later fragments
// apply it. Workers may use tables of different generations, so a decision contains no index:
//
//   bit 63..33  upper 31 bits of the flow's entropy (to a backend)
//   bit 32      0: to a backend; 1: from a backend, or to the kernel
//   bit 31..0   to a backend: its id, never 0
//               from a backend: protocol << 16 | source port in host order
//               to the kernel: 0
//
// All fragments of a datagram get their entropy from the decision, which repeats its 31 bits. So
// they have the same outer source port, flow label and outer source address.
#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/fragment.h"

namespace fairlead {
namespace {

constexpr uint64_t kNotToBackendBit = uint64_t{1} << 32;

uint64_t ToBackend(uint32_t backend_id, const FlowHash& hash) {
  return hash.high >> 33 << 33 | backend_id;
}
uint64_t FromBackend(uint8_t protocol, uint16_t port) {
  return kNotToBackendBit | uint64_t{protocol} << 16 | port;
}
uint64_t EntropyOf(uint64_t decision) { return decision >> 33 << 33 | decision >> 33; }

FlowHash DatagramOf(const PipelineContext& context, const Burst& burst, uint32_t i) {
  return context.fragments->map().Identify(
      FragmentKey(burst.frame[i], burst.packet[i], burst.key[i]));
}

// Directs packet `i` to the decision's backend. False: the packet was dropped.
bool DirectToBackend(PipelineContext& context, Burst& burst, uint32_t i, uint64_t decision) {
  const ForwardingTables& tables = *context.tables;
  const BackendEntry* backend = tables.FindBackend(static_cast<uint32_t>(decision));
  if ((decision & kNotToBackendBit) != 0 || backend == nullptr ||
      backend->state == BackendState::kDown) {
    DropPacket(context, burst, i, DropReason::k_no_backend);
    return false;
  }
  burst.service[i] = backend->service_index;
  burst.backend[i] = static_cast<uint32_t>(backend - tables.backends().data());
  burst.hash[i].high = EntropyOf(decision);
  return JudgeTtl(context, burst, i);
}

// Directs packet `i` from a nat backend to its client, or to the kernel.
void DirectToClient(PipelineContext& context, Burst& burst, uint32_t i, uint64_t decision) {
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

// Records the decisions of first fragments to frontends. A datagram with a decision keeps it.
void RecordDecisions(PipelineContext& context, Burst& burst) {
  burst.live.KeepIf([&](uint32_t i) {
    if (!burst.packet[i].is_fragment) return true;
    const uint64_t decision =
        ToBackend(context.tables->backends()[burst.backend[i]].id, burst.hash[i]);
    const uint64_t standing =
        context.fragments->RecordFirst(DatagramOf(context, burst, i), decision, context.now_tick);
    return DirectToBackend(context, burst, i, standing);
  });
}

void HandleLater(PipelineContext& context, Burst& burst, uint32_t i) {
  uint64_t decision = 0;
  const uint64_t held = context.buffers->Hold(burst, i);
  const FlowHash datagram = DatagramOf(context, burst, i);
  switch (context.fragments->AddLater(datagram, held, context.now_tick, &decision)) {
    case FragmentStore::Outcome::kForward:
      ApplyDecision(context, burst, i, decision);
      break;
    case FragmentStore::Outcome::kHeld:
      burst.verdict[i] = Verdict::kHeld;
      break;
    case FragmentStore::Outcome::kRefused:
      // The same verdicts as ReleaseFragments gives to evicted fragments.
      if (context.tables->frontends().HasDestination(burst.key[i])) {
        DropPacket(context, burst, i, DropReason::k_fragment_evicted);
      } else {
        burst.verdict[i] = Verdict::kToKernel;  // from a nat backend, but may not be a nat reply
      }
      break;
  }
}

}  // namespace

void ApplyDecision(PipelineContext& context, Burst& burst, uint32_t i, uint64_t decision) {
  if (!context.tables->frontends().HasDestination(burst.key[i])) {
    // The address is not a frontend any more, so a decision for a backend does not apply.
    DirectToClient(context, burst, i,
                   (decision & kNotToBackendBit) != 0 ? decision : kNotToBackendBit);
  } else if (DirectToBackend(context, burst, i, decision)) {
    burst.live.Add(i);
  }
}

void HandleFragments(PipelineContext& context, Burst& burst) {
  if (context.fragments == nullptr || context.buffers == nullptr) {
    for (const uint32_t i : burst.fragments) {
      DropPacket(context, burst, i, DropReason::k_fragment);
    }
    return;
  }
  if (burst.has_first_fragment) RecordDecisions(context, burst);
  for (const uint32_t i : burst.fragments) HandleLater(context, burst, i);
}

void RecordReplyDecision(PipelineContext& context, const Burst& burst, uint32_t i,
                         bool translated) {
  const FlowKey& key = burst.key[i];
  const uint64_t decision =
      translated ? FromBackend(key.protocol(), key.source_port()) : kNotToBackendBit;
  context.fragments->RecordFirst(DatagramOf(context, burst, i), decision, context.now_tick);
}

}  // namespace fairlead
