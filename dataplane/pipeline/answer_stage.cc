#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/answer.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint32_t kTargetOptionBytes = 8;  // option that may be appended to an advertisement

bool IsSolicitation(const Burst& burst, uint32_t i) {
  return burst.packet[i].kind == FrameKind::kIpv6 &&
         burst.frame[i][burst.packet[i].l4_offset] == kIcmpv6NeighbourSolicitation;
}

void AnswerOne(PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  const MacAddress& mac = context.ports[burst.ingress_port[i]].mac;
  uint8_t* frame = burst.frame[i];
  const uint32_t length = burst.linear_length[i];
  uint32_t reply_length;
  if (packet.kind == FrameKind::kArp) {
    reply_length = MakeArpReply(frame, length, packet, mac);
  } else if (IsSolicitation(burst, i)) {
    if (burst.tailroom[i] < kTargetOptionBytes) {
      return DropPacket(context, burst, i, DropReason::k_no_headroom);
    }
    reply_length =
        MakeNeighbourAdvertisement(frame, length, length + burst.tailroom[i], packet, mac);
  } else {
    reply_length = MakeEchoReply(frame, length, packet, mac);
  }
  burst.linear_length[i] = reply_length;
  burst.frame_length[i] = reply_length;
  burst.egress_port[i] = burst.ingress_port[i];
  burst.verdict[i] = Verdict::kAnswer;
}

}  // namespace

void Answer(PipelineContext& context, Burst& burst) {
  for (const uint32_t i : burst.questions) {
    const bool about_neighbour =
        burst.packet[i].kind == FrameKind::kArp || IsSolicitation(burst, i);
    TokenBucket& bucket = about_neighbour ? context.neighbour_replies : context.echo_replies;
    if (bucket.Take(context.now_us)) {
      AnswerOne(context, burst, i);
    } else {
      DropPacket(context, burst, i, DropReason::k_rate_limited);
    }
  }
}

}  // namespace fairlead
