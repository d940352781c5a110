// What the first fragment of a datagram leaves in the FragmentMap, and what later ones make of it. A
// word must mean the same to workers that use tables of different generations, so it holds no index:
//
//   bit 63..33  upper 31 bits of the flow's entropy (to a backend)
//   bit 32      0: to a backend; 1: from one, or the kernel's
//   bit 31..0   to a backend: its id, never 0
//               from one: protocol << 16 | source port in host order; 0: the kernel's
//
// All fragments of a datagram get the entropy that the word holds, twice 31 bits, so that the same
// outer port, flow label and source carry them.
#include "dataplane/pipeline/originate.h"
#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/fragment.h"

namespace fairlead {
namespace {

constexpr uint64_t kAwayBit = uint64_t{1} << 32;

uint64_t WordToBackend(uint32_t backend_id, const FlowHash& hash) {
  return hash.high >> 33 << 33 | backend_id;
}
uint64_t WordFromBackend(uint8_t protocol, uint16_t port) {
  return kAwayBit | uint64_t{protocol} << 16 | port;
}
uint64_t EntropyOf(uint64_t word) { return word >> 33 << 33 | word >> 33; }

FlowHash DatagramOf(const PipelineContext& context, const Burst& burst, uint32_t i) {
  return context.fragments->map().Identify(
      FragmentKey(burst.frame[i], burst.packet[i], burst.key[i]));
}

// To the backend that the word names. False with the packet dropped.
bool AimAtBackend(PipelineContext& context, Burst& burst, uint32_t i, uint64_t word) {
  const ForwardingTables& tables = *context.tables;
  const BackendEntry* backend = tables.FindBackend(static_cast<uint32_t>(word));
  if ((word & kAwayBit) != 0 || backend == nullptr || backend->state == BackendState::kDown) {
    burst.Drop(i, DropReason::k_no_backend);
    return false;
  }
  burst.service[i] = backend->service_index;
  burst.backend[i] = static_cast<uint32_t>(backend - tables.backends().data());
  burst.hash[i].high = EntropyOf(word);
  const ServiceEntry& service = tables.services()[backend->service_index];
  if (CountsTtl(service.mode) && TtlOf(burst.frame[i], burst.packet[i]) <= 1) {
    Add(&context.counters->service(service.counter_index).drops, 1);
    DropExpired(context, burst, i, burst.key[i].destination());
    return false;
  }
  return true;
}

void FollowFromBackend(PipelineContext& context, Burst& burst, uint32_t i, uint64_t word) {
  const auto protocol = static_cast<uint8_t>(word >> 16);
  const NatRow* row = protocol == 0 ? nullptr
                                    : context.tables->nat().FindSource(burst.key[i], protocol,
                                                                       static_cast<uint16_t>(word));
  if (row == nullptr) {
    burst.verdict[i] = Verdict::kToKernel;
    return;
  }
  burst.nat_row[i] = row;
  burst.reply[burst.reply_count++] = static_cast<uint8_t>(i);
}

// Later fragments of what was a backend's packet to a frontend go by FollowWord; the first ones of it
// are live.
void RememberFirsts(PipelineContext& context, Burst& burst) {
  uint32_t kept = 0;
  for (uint32_t n = 0; n < burst.live_count; ++n) {
    const uint32_t i = burst.live[n];
    if (burst.packet[i].is_fragment) {
      const uint64_t word =
          WordToBackend(context.tables->backends()[burst.backend[i]].id, burst.hash[i]);
      const uint64_t standing =
          context.fragments->First(DatagramOf(context, burst, i), word, context.now_tick);
      if (!AimAtBackend(context, burst, i, standing)) continue;
    }
    burst.live[kept++] = static_cast<uint8_t>(i);
  }
  burst.live_count = kept;
}

void FollowLater(PipelineContext& context, Burst& burst, uint32_t i) {
  uint64_t word = 0;
  const uint64_t held = context.buffers->Hold(burst, i);
  switch (context.fragments->Later(DatagramOf(context, burst, i), held, context.now_tick, &word)) {
    case FragmentStore::Outcome::kForward:
      FollowWord(context, burst, i, word);
      break;
    case FragmentStore::Outcome::kHeld:
      burst.verdict[i] = Verdict::kHeld;
      break;
    case FragmentStore::Outcome::kRefused:
      // As ReleaseFragments judges those that made room.
      if (context.tables->frontends().HasDestination(burst.key[i])) {
        burst.Drop(i, DropReason::k_fragment_evicted);
      } else {
        burst.verdict[i] = Verdict::kToKernel;  // from a nat backend, and perhaps none of nat's
      }
      break;
  }
}

}  // namespace

void FollowWord(PipelineContext& context, Burst& burst, uint32_t i, uint64_t word) {
  if (!context.tables->frontends().HasDestination(burst.key[i])) {
    // What a frontend's datagram said means nothing once the address is no frontend's any more.
    FollowFromBackend(context, burst, i, (word & kAwayBit) != 0 ? word : kAwayBit);
  } else if (AimAtBackend(context, burst, i, word)) {
    burst.live[burst.live_count++] = static_cast<uint8_t>(i);
  }
}

void FollowFragments(PipelineContext& context, Burst& burst) {
  if (context.fragments == nullptr || context.buffers == nullptr) {
    for (uint32_t n = 0; n < burst.fragment_count; ++n) {
      burst.Drop(burst.fragment[n], DropReason::k_fragment);
    }
    return;
  }
  if (burst.has_first_fragment) RememberFirsts(context, burst);
  for (uint32_t n = 0; n < burst.fragment_count; ++n) {
    FollowLater(context, burst, burst.fragment[n]);
  }
}

void RememberReply(PipelineContext& context, const Burst& burst, uint32_t i, bool translated) {
  const FlowKey& key = burst.key[i];
  const uint64_t word = translated ? WordFromBackend(key.protocol(), key.source_port()) : kAwayBit;
  context.fragments->First(DatagramOf(context, burst, i), word, context.now_tick);
}

}  // namespace fairlead
