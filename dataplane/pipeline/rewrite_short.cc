// The short ways of packets that are nothing special: a loop for each, which holds nothing more and
// keeps everything in registers.
#include <algorithm>
#include <cstring>
#include <span>

#include "dataplane/pipeline/forward_tally.h"
#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/stages.h"
#include "lib/encap/dsr.h"
#include "lib/encap/nat.h"
#include "lib/encap/tunnel_inline.h"

namespace fairlead {
namespace {

// The port that the packet before left by, since the next one nearly always does, too.
struct Egress {
  uint32_t port = kNoIndex;
  uint32_t mtu = 0;
  SourceMac mac;
  const uint8_t* mac_bytes = nullptr;

  void Become(uint32_t index, std::span<const PortView> ports) {
    port = index;
    mtu = ports[index].mtu;
    mac_bytes = ports[index].mac.bytes.data();
    mac = SourceMac::Of(mac_bytes);
  }
};

// Takes the packets in `list` whose backend has that short way and for which write(i, backend, egress)
// succeeds; leaves the others in the list and returns how many they are.
template <ShortWay kWay, typename Write>
[[gnu::always_inline]] inline uint32_t Take(PipelineContext& context, Burst& burst, uint8_t* list,
                                            uint32_t count, Write write) {
  const BackendEntry* const backends = context.tables->backends().data();
  const std::span<const PortView> ports = context.ports;
  ForwardTally tally(context);
  Egress egress;
  uint32_t kept = 0;
  for (uint32_t n = 0; n < count; ++n) {
    const uint32_t i = list[n];
    const uint32_t index = burst.backend[i];
    const BackendEntry& backend = backends[index];
    const uint32_t length = burst.packet[i].l3_length;
    if (backend.short_way != kWay) {
      list[kept++] = static_cast<uint8_t>(i);
      continue;
    }
    const uint16_t port = EgressPortOf(burst, i, backend);
    if (port != egress.port) [[unlikely]]
      egress.Become(port, ports);
    if (!write(i, index, backend, egress)) [[unlikely]] {
      list[kept++] = static_cast<uint8_t>(i);
      continue;
    }
    burst.egress_port[i] = port;
    burst.verdict[i] = Verdict::kForward;
    tally.Forwarded(burst.service[i], backend, length);
  }
  return kept;
}

uint32_t TakeDsr(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  return Take<ShortWay::kDsr>(
      context, burst, list, count,
      [&](uint32_t i, uint32_t, const BackendEntry& backend, const Egress& egress) {
        const ParsedPacket& packet = burst.packet[i];
        if (packet.l3_length > egress.mtu) return false;
        RewriteDsr(burst.frame[i], packet, backend.destination_mac, egress.mac);
        return true;
      });
}

// A loop for each kind of tunnel and outer family, so that all lengths are constants.
template <TunnelKind kKind, Family kFamily>
uint32_t TakeTunnels(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  constexpr uint32_t kOverhead = TunnelOverhead(kKind, kFamily);
  const ForwardingTables& tables = *context.tables;
  return Take<ShortWay::kTunnel>(
      context, burst, list, count,
      [&](uint32_t i, uint32_t index, const BackendEntry& backend, const Egress& egress) {
        const TunnelTemplate& tunnel = tables.tunnel(index);
        const ParsedPacket& packet = burst.packet[i];
        const uint32_t headroom = burst.headroom[i];
        const uint32_t length = packet.l3_length;
        if (tunnel.overhead_bytes != kOverhead || packet.l3_offset != sizeof(EthernetHeader) ||
            length + kOverhead > egress.mtu || headroom < kOverhead) {
          return false;
        }
        const uint32_t end = uint32_t{sizeof(EthernetHeader)} + length;  // without padding
        uint8_t* const frame = burst.frame[i];
        burst.frame[i] = frame - kOverhead;
        burst.linear_length[i] = std::min(burst.linear_length[i], end) + kOverhead;
        burst.frame_length[i] = end + kOverhead;
        burst.headroom[i] = static_cast<uint16_t>(headroom - kOverhead);
        EncapsulateUntagged<kKind, kFamily>(tunnel, frame, packet, burst.hash[i].high,
                                            backend.destination_mac, egress.mac);
        return true;
      });
}

using Taker = uint32_t (*)(PipelineContext&, Burst&, uint8_t*, uint32_t);

Taker TunnelTaker(const TunnelTemplate& tunnel) {
  switch (tunnel.overhead_bytes) {
    case TunnelOverhead(TunnelKind::kIpip, Family::kIpv4):
      return TakeTunnels<TunnelKind::kIpip, Family::kIpv4>;
    case TunnelOverhead(TunnelKind::kGue, Family::kIpv4):
      return TakeTunnels<TunnelKind::kGue, Family::kIpv4>;
    case TunnelOverhead(TunnelKind::kIpip, Family::kIpv6):
      return TakeTunnels<TunnelKind::kIpip, Family::kIpv6>;
    default:
      return TakeTunnels<TunnelKind::kGue, Family::kIpv6>;
  }
}

// SYNs, whose MSS may have to be clamped, take the long way.
uint32_t TakeNat(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  return Take<ShortWay::kNat>(
      context, burst, list, count,
      [&](uint32_t i, uint32_t, const BackendEntry& backend, const Egress& egress) {
        const ParsedPacket& packet = burst.packet[i];
        if (packet.l3_length > egress.mtu || !HasPorts(packet) || packet.has_ah ||
            (packet.tcp_flags & kTcpSyn) != 0 || IsHairpin(burst.key[i], backend)) {
          return false;
        }
        NatEndpoint endpoint;
        std::memcpy(endpoint.address.data(), backend.address, sizeof(backend.address));
        endpoint.port = backend.port;
        RewriteNatForward(burst.frame[i], packet, endpoint, backend.destination_mac,
                          egress.mac_bytes);
        return true;
      });
}

// The loop for what goes to that backend; null: none.
Taker TakerFor(const ForwardingTables& tables, uint32_t backend) {
  switch (tables.backends()[backend].short_way) {
    case ShortWay::kDsr:
      return TakeDsr;
    case ShortWay::kTunnel:
      return TunnelTaker(tables.tunnel(backend));
    case ShortWay::kNat:
      return TakeNat;
    case ShortWay::kNone:
      break;
  }
  return nullptr;
}

}  // namespace

uint32_t RewriteShort(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  // Most bursts are for one service, or for services of one mode.
  constexpr int kMaxWays = 3;
  for (int way = 0; way < kMaxWays && count != 0; ++way) {
    const Taker take = TakerFor(*context.tables, burst.backend[list[0]]);
    if (take == nullptr) break;
    count = take(context, burst, list, count);
  }
  return count;
}

}  // namespace fairlead
