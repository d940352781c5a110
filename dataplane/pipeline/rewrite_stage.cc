#include <cstring>

#include "dataplane/pipeline/departure.h"
#include "dataplane/pipeline/forward_tally.h"
#include "dataplane/pipeline/mss_clamp.h"
#include "dataplane/pipeline/originate.h"
#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/stages.h"
#include "lib/base/check.h"
#include "lib/encap/dsr.h"
#include "lib/encap/nat_icmp.h"
#include "lib/encap/tunnel_inline.h"
#include "lib/net/icmp_error.h"
#include "lib/table/candidates.h"

namespace fairlead {
namespace {

// One packet on its way to its backend.
struct Passage {
  PipelineContext& context;
  Burst& burst;
  uint32_t i;
  const ServiceEntry& service;
  const BackendEntry& backend;

  const uint8_t* source_mac() const { return context.ports[burst.egress_port[i]].mac.bytes.data(); }
  const TunnelTemplate& tunnel() const { return context.tables->tunnel(burst.backend[i]); }
};

CandidateList CandidatesOf(const Passage& p) {
  // It shows no ports, and so nobody has looked for its slot: hash.low is another packet's.
  if (p.burst.packet[p.i].later_fragment) [[unlikely]] {
    return {static_cast<Family>(p.backend.family),
            static_cast<uint32_t>(p.context.tables->generation())};
  }
  return ListCandidates(*p.context.tables, p.service, p.burst.hash[p.i], p.burst.backend[p.i]);
}

PieceTunnel TunnelOf(const Passage& p, const CandidateList& candidates) {
  return {&p.tunnel(),
          p.burst.hash[p.i].high,
          p.backend.destination_mac,
          p.source_mac(),
          (p.service.flags & kServiceGueChecksum) != 0,
          candidates.data()};
}

inline DropReason DsrRoom(const Passage& p) {
  RewriteDsr(p.burst.frame[p.i], p.burst.packet[p.i], p.backend.destination_mac,
             SourceMac::Of(p.source_mac()));
  return DropReason::kNone;
}

inline DropReason TunnelRoom(const Passage& p) {
  const CandidateList candidates = CandidatesOf(p);
  const PieceTunnel tunnel = TunnelOf(p, candidates);
  return tunnel.udp_checksum ? EncapsulateWithChecksum(p.context, p.burst, p.i, tunnel)
                             : EncapsulatePacket(p.burst, p.i, tunnel);
}

[[gnu::noinline]] DropReason NatErrorRoom(const Passage& p, const NatEndpoint& endpoint) {
  IcmpError error;
  uint8_t* frame = p.burst.frame[p.i];
  const ParsedPacket& packet = p.burst.packet[p.i];
  // ForwardErrors has read it before; so rare a packet does not deserve a place in the burst.
  const DropReason refusal = ReadIcmpError(frame, p.burst.linear_length[p.i], packet, &error);
  if (refusal != DropReason::kNone) return refusal;
  RewriteIcmpErrorForward(frame, packet, error, endpoint, p.backend.destination_mac,
                          p.source_mac());
  return DropReason::kNone;
}

inline DropReason NatRoom(const Passage& p) {
  const ParsedPacket& packet = p.burst.packet[p.i];
  NatEndpoint endpoint;
  std::memcpy(endpoint.address.data(), p.backend.address, sizeof(p.backend.address));
  endpoint.port = p.backend.port;
  if (packet.has_ah) [[unlikely]]
    return DropReason::k_ah_nat;
  if (!HasPorts(packet) && IsIcmp(packet)) [[unlikely]]
    return NatErrorRoom(p, endpoint);
  if (IsHairpin(p.burst.key[p.i], p.backend)) [[unlikely]]
    return DropReason::k_hairpin;
  if ((packet.tcp_flags & kTcpSyn) != 0 && (p.service.flags & kServiceMssClamp) != 0) {
    ClampToPorts(p.context, p.burst, p.i);
  }
  RewriteNatForward(p.burst.frame[p.i], packet, endpoint, p.backend.destination_mac,
                    p.source_mac());
  return DropReason::kNone;
}

inline DropReason EnterRoom(const Passage& p) {
  switch (p.service.mode) {
    case ForwardingMode::kDsr:
      return DsrRoom(p);
    case ForwardingMode::kIpip:
    case ForwardingMode::kGue:
      return TunnelRoom(p);
    case ForwardingMode::kNat:
      return NatRoom(p);
  }
  CHECK(false);
  return DropReason::k_no_backend;
}

// The packet is larger than what fits: cut, or dropped and its sender told.
[[gnu::noinline]] DropReason PassTooBig(const Passage& p, uint32_t mtu) {
  const bool has_tunnel = !CountsTtl(p.service.mode);
  if (!MayCut(p.burst, p.i)) {
    SendIcmpError(p.context, p.burst, p.i, IcmpErrorKind::kTooBig, p.burst.key[p.i].destination(),
                  mtu);
    return DropReason::k_too_big;
  }
  // Who allows cutting is not told that cutting was forbidden (RFC 792: code 4).
  if ((p.service.flags & kServiceDropTooBig) != 0) return DropReason::k_too_big;
  if (p.backend.vlan != 0 && !ReplaceTags(p.burst, p.i, p.backend.vlan)) {
    return DropReason::k_no_headroom;
  }
  if (has_tunnel) {
    const CandidateList candidates = CandidatesOf(p);
    return CutPacket(p.context, p.burst, p.i, mtu, TunnelOf(p, candidates));
  }
  // Rewritten first, so that addresses, TTL and checksums are right in every piece.
  const DropReason refusal = EnterRoom(p);
  return refusal != DropReason::kNone ? refusal
                                      : CutPacket(p.context, p.burst, p.i, mtu, PieceTunnel());
}

// What is in front of the packet at most: whether a list goes along changes with the slot's state, and
// the path's MTU must not.
inline uint32_t OverheadOf(const Passage& p) {
  if (CountsTtl(p.service.mode)) return 0;
  if ((p.service.flags & kServiceSecondChance) == 0) return p.tunnel().overhead_bytes;
  return p.tunnel().overhead_bytes + CandidateRoom(static_cast<Family>(p.backend.family));
}

// The long way: whatever it is.
[[gnu::noinline]] DropReason RewriteAny(const Passage& p) {
  Burst& burst = p.burst;
  const uint32_t i = p.i;
  if (!p.backend.has_next_hop) return DropReason::k_no_next_hop;
  const uint16_t port = EgressPortOf(burst, i, p.backend);
  burst.egress_port[i] = port;
  const uint32_t overhead = OverheadOf(p);
  const uint32_t mtu = PathMtu(p.context.ports[port].mtu, overhead);
  if (burst.packet[i].l3_length > mtu) [[unlikely]]
    return PassTooBig(p, mtu);
  if (p.backend.vlan != 0 && !ReplaceTags(burst, i, p.backend.vlan)) {
    return DropReason::k_no_headroom;
  }
  return EnterRoom(p);
}

// Goes by one packet of the burst: most bursts are for one service.
bool MostlyTunnels(const ForwardingTables& tables, const Burst& burst) {
  if (!tables.has_tunnels()) return false;
  return !CountsTtl(tables.services()[burst.service[burst.live[burst.live_count / 2]]].mode);
}

// Those packets that no short way took.
void RewriteRest(PipelineContext& context, Burst& burst, const uint8_t* rest, uint32_t rest_count) {
  const ServiceEntry* const services = context.tables->services().data();
  const BackendEntry* const backends = context.tables->backends().data();
  ForwardTally tally(context);
  for (uint32_t n = 0; n < rest_count; ++n) {
    const uint32_t i = rest[n];
    const ServiceEntry& service = services[burst.service[i]];
    const BackendEntry& backend = backends[burst.backend[i]];
    const uint64_t bytes = burst.packet[i].l3_length;
    const DropReason refusal = RewriteAny({context, burst, i, service, backend});
    if (refusal != DropReason::kNone) [[unlikely]] {
      burst.Drop(i, refusal);
      Add(&context.counters->service(service.counter_index).drops, 1);
      continue;
    }
    burst.verdict[i] = Verdict::kForward;
    tally.Forwarded(burst.service[i], backend, bytes);
  }
}

}  // namespace

void Rewrite(PipelineContext& context, Burst& burst) {
  if (burst.live_count == 0) return;  // there may be no tables
  uint8_t rest[kMaxBurst];
  std::memcpy(rest, burst.live, sizeof(rest));
  const uint32_t rest_count = RewriteShort(context, burst, rest, burst.live_count);
  context.hints.mostly_tunnels = MostlyTunnels(*context.tables, burst);
  if (rest_count != 0) RewriteRest(context, burst, rest, rest_count);
}

}  // namespace fairlead
