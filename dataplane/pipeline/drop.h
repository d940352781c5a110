// The one way to drop a packet, and the judgements that several stages share: of its TTL and of its
// size.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/pipeline.h"
#include "lib/net/address.h"

namespace fairlead {

// Gives packet `i` the verdict kDrop for `why`. It counts for its service if burst.service[i] names
// one; the reason itself is counted at the burst's end, with all verdicts.
void DropPacket(PipelineContext& context, Burst& burst, uint32_t i, DropReason why);

// Drops packet `i` for its TTL and tells its sender. JudgeTtl's.
void DropExpired(PipelineContext& context, Burst& burst, uint32_t i, const IpAddress& frontend);

// True when packet `i` may be forwarded by its service as far as its TTL or hop limit goes. Else,
// that is when the mode decrements it and it is at most 1, the packet is dropped and its sender
// told. `frontend()`: the source of that error where the port has no address of its own. REQUIRES a
// service.
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

// Of packet `i`, as it came in, larger than `mtu`: kNone when it is to be cut. Else too_big, and
// the sender is told that MTU, unless it allows cutting and the service does not. `frontend`: as
// above. REQUIRES a service.
DropReason JudgeTooBig(PipelineContext& context, Burst& burst, uint32_t i,
                       const IpAddress& frontend, uint32_t mtu);

}  // namespace fairlead
