#include "dataplane/pipeline/handshake_table.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/headers.h"
#include "lib/table/select.h"

namespace fairlead {
namespace {

// Of each call of ExpireHandshakes.
constexpr uint32_t kPlacesPerCall = 64;
constexpr uint32_t kUnrolled = 16;
static_assert(kMaxBurst % kUnrolled == 0);

bool IsFollowed(const ServiceEntry& service) {
  return (service.flags & kServiceFollowHandshakes) != 0;
}

// The counters of a backend that still exists, and whose service's handshakes are still followed.
HandshakeCounters* CountersOf(PipelineContext& context, uint32_t backend_id) {
  const BackendEntry* const backend = context.tables->FindBackend(backend_id);
  if (backend == nullptr) return nullptr;
  if (!IsFollowed(context.tables->services()[backend->service_index])) return nullptr;
  return &context.counters->handshakes(backend->counter_index);
}

// Packet `i` is sampled, or it has no hash of its own and one of an earlier burst is.
[[gnu::noinline]] void FollowPacket(PipelineContext& context, const Burst& burst, uint32_t i) {
  if (i >= burst.count || context.handshakes == nullptr) return;
  // Packets without a backend have another verdict, or no service (yet).
  if (burst.verdict[i] != Verdict::kPending || burst.service[i] == kNoService) return;
  const ParsedPacket& packet = burst.packet[i];
  if (packet.l4_protocol != kIpProtoTcp) return;
  if (!IsFollowed(context.tables->services()[burst.service[i]])) return;
  context.handshakes->SetSeed(context.tables->hash_seed());
  const FlowHash& hash = burst.hash[i];
  if (IsSynFlags(packet.tcp_flags)) {
    const BackendEntry& backend = context.tables->backends()[burst.backend[i]];
    // Without a next hop, the packet is dropped here.
    if (backend.has_next_hop) context.handshakes->OnSyn(hash, backend.id, context.now_tick);
    return;
  }
  const uint32_t backend_id = context.handshakes->OnOther(hash, context.now_tick);
  if (backend_id == 0) return;
  if (HandshakeCounters* const counters = CountersOf(context, backend_id)) {
    Add(&counters->sampled, 1);
  }
}

}  // namespace

void FollowHandshakes(PipelineContext& context, const Burst& burst) {
  // Most of the time of this stage. Unrolled, it takes two instructions for a packet.
  const FlowHash* const end = burst.hash + burst.count;
  for (const FlowHash* hash = burst.hash; hash < end; hash += kUnrolled) {
#pragma GCC unroll 16
    for (uint32_t n = 0; n < kUnrolled; ++n) {
      if (IsSampled(hash[n])) [[unlikely]]
        FollowPacket(context, burst, static_cast<uint32_t>(hash - burst.hash) + n);
    }
  }
}

void ExpireHandshakes(PipelineContext& context) {
  HandshakeTable& table = *context.handshakes;
  if (table.waiting() == 0) return;
  // Nobody tells the table about packets any more, so every flow would look unanswered.
  if (context.tables == nullptr || !context.tables->follows_handshakes()) return table.Clear();
  table.SetSeed(context.tables->hash_seed());
  table.Expire(context.now_tick, kPlacesPerCall, [&](uint32_t backend_id) {
    HandshakeCounters* const counters = CountersOf(context, backend_id);
    if (counters == nullptr) return;
    Add(&counters->sampled, 1);
    Add(&counters->unanswered, 1);
  });
}

}  // namespace fairlead
