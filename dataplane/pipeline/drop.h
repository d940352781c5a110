// The only function that drops a packet, and the checks of TTL and size that several stages share.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/pipeline.h"
#include "lib/net/address.h"

namespace fairlead {

// Gives packet `i` the verdict kDrop with reason `why`. Counts it for its service, if
// burst.service[i] has one. The reason is counted at the end of the burst, with all verdicts.
void DropPacket(PipelineContext& context, Burst& burst, uint32_t i, DropReason why);

// Drops packet `i` for its TTL and sends an ICMP error. For JudgeTtl only.
void DropExpired(PipelineContext& context, Burst& burst, uint32_t i, const IpAddress& frontend);

// True if the TTL or hop limit of packet `i` allows forwarding. False if the service's mode
// decrements it and it is at most 1: the packet is dropped then, and its sender gets an ICMP error.
// `frontend()`: the source of that error if the port has no address of its own. REQUIRES a service.
template <typename MakeAddress>
inline bool JudgeTtl(PipelineContext& context, Burst& burst, uint32_t i, MakeAddress frontend) {
  const ServiceEntry& service = context.tables->services()[burst.service[i]];
  if (!service.decrements_ttl || TtlOf(burst.frame[i], burst.packet[i]) > 1) [[likely]]
    return true;
  DropExpired(context, burst, i, frontend());
  return false;
}
// For a packet to a frontend.
inline bool JudgeTtl(PipelineContext& context, Burst& burst, uint32_t i) {
  return JudgeTtl(context, burst, i, [&] { return burst.key[i].destination(); });
}

// Judges packet `i`, which is as received and larger than `mtu`. kNone: cut it. too_big: drop it.
// The sender then gets an ICMP error with that MTU, unless the packet may be cut and only the
// service forbids it. `frontend`: as above. REQUIRES a service.
DropReason JudgeTooBig(PipelineContext& context, Burst& burst, uint32_t i,
                       const IpAddress& frontend, uint32_t mtu);

}  // namespace fairlead
