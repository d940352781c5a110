#include "dataplane/pipeline/drop.h"

#include "dataplane/pipeline/originate.h"

namespace fairlead {

void DropPacket(PipelineContext& context, Burst& burst, uint32_t i, DropReason why) {
  burst.verdict[i] = Verdict::kDrop;
  burst.reason[i] = why;
  if (burst.service[i] == kNoService) return;
  const ServiceEntry& service = context.tables->services()[burst.service[i]];
  Add(&context.counters->service(service.counter_index).drops, 1);
}

void DropExpired(PipelineContext& context, Burst& burst, uint32_t i, const IpAddress& frontend) {
  SendIcmpError(context, burst, i, IcmpErrorKind::kTimeExceeded, frontend, 0);
  DropPacket(context, burst, i, DropReason::k_ttl_expired);
}

DropReason JudgeTooBig(PipelineContext& context, Burst& burst, uint32_t i,
                       const IpAddress& frontend, uint32_t mtu) {
  if (!MayCut(burst, i)) {
    SendIcmpError(context, burst, i, IcmpErrorKind::kTooBig, frontend, mtu);
    return DropReason::k_too_big;
  }
  // A sender that allows fragmentation gets no ICMP error: code 4 means that DF was set (RFC 792).
  const ServiceEntry& service = context.tables->services()[burst.service[i]];
  return (service.flags & kServiceDropTooBig) != 0 ? DropReason::k_too_big : DropReason::kNone;
}

}  // namespace fairlead
