// nat's MSS clamp: a full-size segment in either direction must fit the MTU of both ports.
#pragma once

#include <algorithm>

#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

// Clamps the MSS of a SYN or SYN-ACK. REQUIRES a contiguous TCP header and a set egress port.
inline void ClampMssToMtus(const PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  const uint16_t mtu =
      std::min(context.ports[burst.ingress_port[i]].mtu, context.ports[burst.egress_port[i]].mtu);
  const uint32_t end =
      std::min(burst.linear_length[i], uint32_t{packet.l3_offset} + uint32_t{packet.l3_length});
  ClampMss(burst.frame[i] + packet.l4_offset, end - packet.l4_offset,
           MssFor(mtu, FamilyOf(packet)));
}

}  // namespace fairlead
