// Code that ipip and gue share.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/pipeline/fast_path.h"
#include "dataplane/pipeline/originate.h"
#include "lib/encap/tunnel_inline.h"

namespace fairlead {

inline PieceTunnel TunnelOf(const RewriteJob& job) {
  return {.tunnel = &job.tunnel(),
          .entropy = job.burst.hash[job.i].high,
          .destination_mac = job.backend.destination_mac,
          .source_mac = job.source_mac()};
}

// One loop for each kind of tunnel and outer family, so that all lengths are constants.
template <ForwardingMode kMode, TunnelKind kKind, Family kFamily>
uint32_t TunnelFastPath(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  constexpr uint32_t kOverhead = TunnelOverhead(kKind, kFamily);
  const ForwardingTables& tables = *context.tables;
  return RunFastPath<FastPathOf(kMode, kFamily)>(
      context, burst, list, count,
      [&](uint32_t i, uint32_t index, const BackendEntry& backend, const Egress& egress) {
        const ParsedPacket& packet = burst.packet[i];
        const uint32_t headroom = burst.headroom[i];
        const uint32_t length = packet.l3_length;
        if (packet.l3_offset != sizeof(EthernetHeader) || length + kOverhead > egress.mtu ||
            headroom < kOverhead) {
          return false;
        }
        const uint32_t end = uint32_t{sizeof(EthernetHeader)} + length;  // without padding
        uint8_t* const frame = burst.frame[i];
        burst.frame[i] = frame - kOverhead;
        burst.linear_length[i] = std::min(burst.linear_length[i], end) + kOverhead;
        burst.frame_length[i] = end + kOverhead;
        burst.headroom[i] = static_cast<uint16_t>(headroom - kOverhead);
        EncapsulateUntagged<kKind, kFamily>(tables.tunnel(index), frame, packet, burst.hash[i].high,
                                            backend.destination_mac, egress.mac);
        return true;
      });
}

}  // namespace fairlead
