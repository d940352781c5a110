#include "dataplane/pipeline/departure.h"
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
  const uint16_t port =
      p.backend.egress_port == kIngressPort ? burst.ingress_port[i] : p.backend.egress_port;
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

inline uint16_t EgressOf(const Burst& burst, uint32_t i, const BackendEntry& backend) {
  return backend.egress_port == kIngressPort ? burst.ingress_port[i] : backend.egress_port;
}

// The port that the packet before left by, since the next one nearly always does, too.
struct Egress {
  uint32_t port = kNoIndex;
  uint32_t mtu = 0;
  SourceMac mac;

  void Become(uint32_t index, std::span<const PortView> ports) {
    port = index;
    mtu = ports[index].mtu;
    mac = SourceMac::Of(ports[index].mac.bytes.data());
  }
};

// The short ways. False: this packet has to take the long one.
inline bool RewriteTunnelShort(std::span<const PortView> ports, Burst& burst, uint32_t i,
                               const BackendEntry& backend, const TunnelTemplate& tunnel) {
  const ParsedPacket& packet = burst.packet[i];
  const uint16_t port = EgressOf(burst, i, backend);
  const PortView& view = ports[port];
  const uint32_t overhead = tunnel.overhead_bytes;
  const uint32_t headroom = burst.headroom[i];
  const uint32_t length = packet.l3_length;
  if (packet.l3_offset != sizeof(EthernetHeader) || length + overhead > view.mtu ||
      headroom < overhead) {
    return false;
  }
  const uint32_t end = uint32_t{sizeof(EthernetHeader)} + length;  // without padding
  uint8_t* const frame = burst.frame[i];
  burst.egress_port[i] = port;
  burst.frame[i] = frame - overhead;
  burst.linear_length[i] = std::min(burst.linear_length[i], end) + overhead;
  burst.frame_length[i] = end + overhead;
  burst.headroom[i] = static_cast<uint16_t>(headroom - overhead);
  EncapsulateUntagged(tunnel, frame, packet, burst.hash[i].high, backend.destination_mac,
                      view.mac.bytes.data());
  return true;
}

// Counts forwarded packets; those of one service in a row together.
class ForwardTally {
 public:
  explicit ForwardTally(const PipelineContext& context)
      : counters_(context.counters),
        backends_(&context.counters->backend(0)),
        services_(context.tables->services().data()) {}
  ~ForwardTally() { Flush(); }
  ForwardTally(const ForwardTally&) = delete;
  ForwardTally& operator=(const ForwardTally&) = delete;

  void Forwarded(uint32_t service, const BackendEntry& backend, uint64_t bytes) {
    if (service != service_) {
      Flush();
      service_ = service;
    }
    ++packets_;
    bytes_ += bytes;
    BackendCounters& counters = backends_[backend.counter_index];
    Add(&counters.packets, 1);
    Add(&counters.bytes, bytes);
  }

 private:
  void Flush() {
    if (packets_ == 0) return;
    ServiceCounters& counters = counters_->service(services_[service_].counter_index);
    Add(&counters.packets, packets_);
    Add(&counters.bytes, bytes_);
    packets_ = bytes_ = 0;
  }

  WorkerCounters* counters_;
  BackendCounters* backends_;  // all of them
  const ServiceEntry* services_;
  uint32_t service_ = kNoService;
  uint64_t packets_ = 0;
  uint64_t bytes_ = 0;
};

// Those packets that do not go dsr's short way, in a loop of their own: what it needs would push out of
// the registers what the loop for dsr has there.
[[gnu::noinline]] void RewriteRest(PipelineContext& context, Burst& burst, const uint8_t* rest,
                                   uint32_t rest_count) {
  const ForwardingTables& tables = *context.tables;
  const ServiceEntry* const services = tables.services().data();
  const BackendEntry* const backends = tables.backends().data();
  const std::span<const PortView> ports = context.ports;
  ForwardTally tally(context);
  for (uint32_t n = 0; n < rest_count; ++n) {
    const uint32_t i = rest[n];
    const uint32_t index = burst.backend[i];
    const ServiceEntry& service = services[burst.service[i]];
    const BackendEntry& backend = backends[index];
    const uint64_t bytes = burst.packet[i].l3_length;
    if (backend.short_way != ShortWay::kTunnel ||
        !RewriteTunnelShort(ports, burst, i, backend, tables.tunnel(index))) {
      const DropReason refusal = RewriteAny({context, burst, i, service, backend});
      if (refusal != DropReason::kNone) [[unlikely]] {
        burst.Drop(i, refusal);
        Add(&context.counters->service(service.counter_index).drops, 1);
        continue;
      }
    }
    burst.verdict[i] = Verdict::kForward;
    tally.Forwarded(burst.service[i], backend, bytes);
  }
}

// Those that go dsr's short way; the others are listed in `rest`. Returns how many these are.
uint32_t RewriteDsrShort(PipelineContext& context, Burst& burst, uint8_t (&rest)[kMaxBurst]) {
  const BackendEntry* const backends = context.tables->backends().data();
  const std::span<const PortView> ports = context.ports;
  ForwardTally tally(context);
  Egress egress;
  uint32_t rest_count = 0;
  const uint32_t live_count = burst.live_count;
  for (uint32_t n = 0; n < live_count; ++n) {
    const uint32_t i = burst.live[n];
    const BackendEntry& backend = backends[burst.backend[i]];
    const ParsedPacket& packet = burst.packet[i];
    const uint32_t length = packet.l3_length;
    const uint16_t port = EgressOf(burst, i, backend);
    if (backend.short_way != ShortWay::kDsr) {
      rest[rest_count++] = static_cast<uint8_t>(i);
      continue;
    }
    if (port != egress.port) [[unlikely]]
      egress.Become(port, ports);
    if (length > egress.mtu) {
      rest[rest_count++] = static_cast<uint8_t>(i);
      continue;
    }
    burst.egress_port[i] = port;
    burst.verdict[i] = Verdict::kForward;
    RewriteDsr(burst.frame[i], packet, backend.destination_mac, egress.mac);
    tally.Forwarded(burst.service[i], backend, length);
  }
  return rest_count;
}

}  // namespace

void Rewrite(PipelineContext& context, Burst& burst) {
  if (burst.live_count == 0) return;  // there may be no tables
  uint8_t rest[kMaxBurst];
  const uint32_t rest_count = RewriteDsrShort(context, burst, rest);
  context.hints.mostly_tunnels = context.tables->has_tunnels() && rest_count * 2 > burst.live_count;
  if (rest_count != 0) RewriteRest(context, burst, rest, rest_count);
}

}  // namespace fairlead
