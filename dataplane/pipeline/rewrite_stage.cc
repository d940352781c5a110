#include <cstring>

#include "dataplane/pipeline/stages.h"
#include "lib/base/check.h"
#include "lib/encap/dsr.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint16_t kVlanIdMask = 0x0fff;
constexpr uint32_t kTwoMacs = 12;  // bytes: destination and source address

// Moves the start of frame `i` by `bytes` (negative: the frame grows to the front).
inline void MoveStart(Burst& burst, uint32_t i, int bytes) {
  burst.frame[i] += bytes;
  burst.linear_length[i] -= static_cast<uint32_t>(bytes);
  burst.frame_length[i] -= static_cast<uint32_t>(bytes);
  burst.headroom[i] = static_cast<uint16_t>(burst.headroom[i] + bytes);
  burst.packet[i].l3_offset = static_cast<uint16_t>(burst.packet[i].l3_offset - bytes);
  burst.packet[i].l4_offset = static_cast<uint16_t>(burst.packet[i].l4_offset - bytes);
}

// Replaces the packet's tags, however many, by one 802.1Q tag of that VLAN; the priority of the
// outer tag stays. MAC addresses are the caller's to write. False without 4 bytes of headroom for
// an untagged packet.
bool ReplaceTags(Burst& burst, uint32_t i, uint16_t vlan) {
  ParsedPacket& packet = burst.packet[i];
  uint16_t priority = 0;
  if (packet.vlan_count > 0) {
    const auto* outer = reinterpret_cast<const VlanTag*>(burst.frame[i] + kTwoMacs + 2);
    priority = static_cast<uint16_t>(outer->tci.host() & ~kVlanIdMask);
  }
  const int surplus = (packet.vlan_count - 1) * static_cast<int>(sizeof(VlanTag));
  if (surplus < 0 && burst.headroom[i] < sizeof(VlanTag)) return false;
  MoveStart(burst, i, surplus);
  packet.vlan_count = 1;
  const Be16 ether_type = Be16::FromHost(kEtherTypeVlan);
  const Be16 tci = Be16::FromHost(static_cast<uint16_t>(priority | vlan));
  std::memcpy(burst.frame[i] + kTwoMacs, &ether_type, sizeof(ether_type));
  std::memcpy(burst.frame[i] + kTwoMacs + 2, &tci, sizeof(tci));
  return true;
}

// Where the packet leaves, and whether it can. kNone = it can.
inline DropReason ChooseEgress(const PipelineContext& context, Burst& burst, uint32_t i,
                               const BackendEntry& backend) {
  if (!backend.has_next_hop) return DropReason::k_no_next_hop;
  const uint16_t port =
      backend.egress_port == kIngressPort ? burst.ingress_port[i] : backend.egress_port;
  burst.egress_port[i] = port;
  if (burst.packet[i].l3_length > context.ports[port].mtu) return DropReason::k_too_big;
  return DropReason::kNone;
}

inline DropReason RewriteOne(const PipelineContext& context, Burst& burst, uint32_t i,
                             const BackendEntry& backend, ForwardingMode mode) {
  const DropReason refusal = ChooseEgress(context, burst, i, backend);
  if (refusal != DropReason::kNone) return refusal;
  if (backend.vlan != 0 && !ReplaceTags(burst, i, backend.vlan)) return DropReason::k_no_headroom;
  switch (mode) {
    case ForwardingMode::kDsr:
      RewriteDsr(burst.frame[i], burst.packet[i], backend.destination_mac,
                 context.ports[burst.egress_port[i]].mac.bytes.data());
      return DropReason::kNone;
    case ForwardingMode::kIpip:
    case ForwardingMode::kGue:
    case ForwardingMode::kNat:
      break;  // ForwardingTables::Build refuses services of these modes
  }
  CHECK(false);
  return DropReason::k_no_backend;
}

}  // namespace

void Rewrite(PipelineContext& context, Burst& burst) {
  for (uint32_t n = 0; n < burst.live_count; ++n) {
    const uint32_t i = burst.live[n];
    const ServiceEntry& service = context.tables->services()[burst.service[i]];
    const BackendEntry& backend = context.tables->backends()[burst.backend[i]];
    ServiceCounters& service_counters = context.counters->service(service.counter_index);
    const DropReason refusal = RewriteOne(context, burst, i, backend, service.mode);
    if (refusal != DropReason::kNone) {
      burst.Drop(i, refusal);
      Add(&service_counters.drops, 1);
      continue;
    }
    burst.verdict[i] = Verdict::kForward;
    const uint64_t bytes = burst.packet[i].l3_length;
    BackendCounters& backend_counters = context.counters->backend(backend.counter_index);
    Add(&service_counters.packets, 1);
    Add(&service_counters.bytes, bytes);
    Add(&backend_counters.packets, 1);
    Add(&backend_counters.bytes, bytes);
  }
}

}  // namespace fairlead
