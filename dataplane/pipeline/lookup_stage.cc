#include <algorithm>
#include <bit>

#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/answer.h"
#include "lib/net/icmp_error.h"

namespace fairlead {
namespace {

bool IsFrontend(const FrontendTable& frontends, const IpAddress& address) {
  return frontends.HasAddress(address.bytes().data(), address.family());
}

// Judges ARP, and neighbour discovery that was not sent to a frontend's address.
void JudgeNeighbour(PipelineContext& context, Burst& burst, uint32_t i, const NeighbourView& view,
                    DropReason malformed) {
  const FrontendTable& frontends = context.tables->frontends();
  // A question also tells the sender's address, and receivers learn it. If the sender's address is
  // a frontend's, the question is an announcement of it.
  if (view.kind == NeighbourKind::kRequest && IsFrontend(frontends, view.sender)) {
    return DropPacket(context, burst, i, DropReason::k_address_conflict);
  }
  if (view.has_target && IsFrontend(frontends, view.target)) {
    switch (view.kind) {
      case NeighbourKind::kRequest:
        return burst.questions.Add(i);
      case NeighbourKind::kAnnouncement:
        return DropPacket(context, burst, i, DropReason::k_address_conflict);
      case NeighbourKind::kMalformed:
        return DropPacket(context, burst, i, malformed);
      case NeighbourKind::kNone:
        break;
    }
  }
  burst.verdict[i] = Verdict::kToKernel;
}

// Judges IP to an address that no frontend has. It goes to the kernel, unless it is a nat reply, or
// neighbour discovery about a frontend (sent to a multicast address).
void JudgeForeign(PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  if (AddIfReply(context, burst, i)) return;
  if (packet.kind != FrameKind::kIpv6 || packet.defect != DropReason::kNone ||
      packet.l4_protocol != kIpProtoIcmpv6) {
    burst.verdict[i] = Verdict::kToKernel;
    return;
  }
  JudgeNeighbour(context, burst, i, ReadNeighbour(burst.frame[i], burst.linear_length[i], packet),
                 DropReason::k_bad_neighbour);
}

// Judges ICMP of the packet's family to a frontend's address.
void JudgeIcmp(PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  // The checksum covers the whole packet, so all of it must be contiguous.
  if (burst.linear_length[i] < burst.frame_length[i] && context.buffers != nullptr) {
    context.buffers->Gather(&burst, i);
  }
  const uint8_t* frame = burst.frame[i];
  const uint32_t length = burst.linear_length[i];
  if (packet.is_fragment) return DropPacket(context, burst, i, DropReason::k_fragment);
  if (packet.kind == FrameKind::kIpv6) {
    const NeighbourView view = ReadNeighbour(frame, length, packet);
    if (view.kind == NeighbourKind::kMalformed) {
      return DropPacket(context, burst, i, DropReason::k_bad_neighbour);
    }
    if (view.kind != NeighbourKind::kNone) {
      JudgeNeighbour(context, burst, i, view, DropReason::k_bad_neighbour);
      if (burst.verdict[i] != Verdict::kToKernel) return;
      // It is about another address than its destination.
      return DropPacket(context, burst, i, DropReason::k_icmp_unsupported);
    }
  }
  if (IsForwardedIcmpError(FamilyOf(packet), frame[packet.l4_offset])) {
    return burst.errors.Add(i);
  }
  if (IsEchoRequest(frame, length, packet)) return burst.questions.Add(i);
  const uint8_t echo = packet.kind == FrameKind::kIpv4 ? kIcmpEchoRequest : kIcmpv6EchoRequest;
  const bool is_echo = frame[packet.l4_offset] == echo;
  DropPacket(context, burst, i, is_echo ? DropReason::k_bad_icmp : DropReason::k_icmp_unsupported);
}

// Judges a later fragment to a frontend's address. The next header of an IPv6 later fragment has no
// meaning (RFC 8200, 4.5).
void JudgeLaterFragment(PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  if (packet.kind == FrameKind::kIpv4 && !IsTcpOrUdp(packet)) {
    return DropPacket(context, burst, i, DropReason::k_unsupported_protocol);
  }
  burst.fragments.Add(i);
}

// Finds the service of TCP or UDP without a defect, with ports, to a frontend's address.
void JudgeService(PipelineContext& context, Burst& burst, uint32_t i) {
  const FlowKey& key = burst.key[i];
  const uint32_t index = context.tables->frontends().FindDestination(key);
  if (index == kNoService) return DropPacket(context, burst, i, DropReason::k_no_frontend);
  burst.service[i] = index;
  if (!JudgeTtl(context, burst, i)) return;
  burst.has_first_fragment |= burst.packet[i].is_fragment;
  burst.live.Add(i);
}

// Judges an IP packet that FindServices did not match, in the full order (pipeline.h).
void JudgeIp(PipelineContext& context, Burst& burst, uint32_t i) {
  const FrontendTable& frontends = context.tables->frontends();
  const ParsedPacket& packet = burst.packet[i];
  if (!frontends.HasDestination(burst.key[i])) return JudgeForeign(context, burst, i);
  if (packet.group_mac) return DropPacket(context, burst, i, DropReason::k_group_mac);
  if (frontends.HasSource(burst.key[i]))
    return DropPacket(context, burst, i, DropReason::k_bad_source);
  if (packet.defect != DropReason::kNone) return DropPacket(context, burst, i, packet.defect);
  if (burst.nic_bad_ip_checksum[i])
    return DropPacket(context, burst, i, DropReason::k_bad_ip_checksum);
  if (IsIcmp(packet)) return JudgeIcmp(context, burst, i);
  if (packet.is_fragment && context.fragments == nullptr) {
    return DropPacket(context, burst, i, DropReason::k_fragment);
  }
  if (packet.later_fragment) return JudgeLaterFragment(context, burst, i);
  if (!IsTcpOrUdp(packet)) return DropPacket(context, burst, i, DropReason::k_unsupported_protocol);
  JudgeService(context, burst, i);
}

void JudgeOther(PipelineContext& context, Burst& burst, uint32_t i) {
  burst.service[i] = kNoService;
  switch (burst.packet[i].kind) {
    case FrameKind::kArp:
      return JudgeNeighbour(context, burst, i,
                            ReadArp(burst.frame[i], burst.linear_length[i], burst.packet[i]),
                            DropReason::k_bad_arp);
    case FrameKind::kIpv4:
    case FrameKind::kIpv6:
      return JudgeIp(context, burst, i);
    case FrameKind::kOther:
    case FrameKind::kUnreadable:  // judged by ParseHeaders
      burst.verdict[i] = Verdict::kToKernel;
  }
}

void SendAllToKernel(Burst& burst) {
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (burst.verdict[i] == Verdict::kPending) burst.verdict[i] = Verdict::kToKernel;
  }
}

// Splits the common packets: those of a service go to `live`, the rest to `others`. find(key): the
// service of the destination. is_frontend(key): true if the source is a frontend's address.
template <typename Find, typename IsFrontendSource>
[[gnu::always_inline]] inline void FindServices(Burst& burst, Find find,
                                                IsFrontendSource is_frontend) {
  const uint32_t common_count = burst.common.count;
  uint32_t live_count = 0;
  for (uint32_t n = 0; n < common_count; ++n) {
    const uint32_t i = burst.common.place[n];
    const FlowKey& key = burst.key[i];
    const uint32_t service = find(key);
    burst.service[i] = service;
    if (service != kNoService && !is_frontend(key)) [[likely]] {
      burst.live.place[live_count++] = static_cast<uint8_t>(i);
    } else {
      burst.others |= 1U << i;
    }
  }
  burst.live.count = live_count;
}

// A separate loop for IPv4, so that its variables stay in registers.
void FindIpv4(const FrontendTable& frontends, Burst& burst) {
  FrontendTable::Ipv4Cursor cursor(frontends);
  FindServices(
      burst, [&](const FlowKey& key) { return cursor.FindDestination(key); },
      [&](const FlowKey& key) { return frontends.HasIpv4Source(key); });
}

void FindAnyFamily(const FrontendTable& frontends, Burst& burst) {
  FrontendTable::Ipv4Cursor ipv4(frontends);
  FrontendTable::Ipv6Cursor ipv6(frontends);
  FindServices(
      burst,
      [&](const FlowKey& key) {
        return key.size_bytes == 16 ? ipv4.FindDestination(key) : ipv6.FindDestination(key);
      },
      [&](const FlowKey& key) { return frontends.HasSource(key); });
}

}  // namespace

void LookupServices(PipelineContext& context, Burst& burst) {
  if (context.tables == nullptr) return SendAllToKernel(burst);
  const FrontendTable& frontends = context.tables->frontends();
  if (burst.any_ipv6) {
    FindAnyFamily(frontends, burst);
  } else {
    FindIpv4(frontends, burst);
  }
  if (burst.others == 0) [[likely]]
    return;
  for (uint32_t rest = burst.others; rest != 0; rest &= rest - 1) {
    JudgeOther(context, burst, static_cast<uint32_t>(std::countr_zero(rest)));
  }
  std::sort(burst.live.place, burst.live.place + burst.live.count);
}

}  // namespace fairlead
