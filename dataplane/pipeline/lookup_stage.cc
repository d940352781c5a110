#include "dataplane/pipeline/stages.h"
#include "lib/net/answer.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

// An address as FrontendTable wants it: 16 bytes, IPv4 in the first four.
struct RawAddress {
  uint64_t words[2];
  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(words); }
};

inline RawAddress SourceOf(const FlowKey& key) {
  if (key.size_bytes == 16) return {{key.words[0] & 0xffffffff, 0}};
  return {{key.words[0], key.words[1]}};
}
inline RawAddress DestinationOf(const FlowKey& key) {
  if (key.size_bytes == 16) return {{key.words[0] >> 32, 0}};
  return {{key.words[2], key.words[3]}};
}

inline uint8_t TtlOf(const uint8_t* frame, const ParsedPacket& packet) {
  return packet.kind == FrameKind::kIpv4
             ? reinterpret_cast<const Ipv4Header*>(frame + packet.l3_offset)->ttl
             : reinterpret_cast<const Ipv6Header*>(frame + packet.l3_offset)->hop_limit;
}

inline bool HasPorts(const ParsedPacket& packet) {
  return packet.l4_protocol == kIpProtoTcp || packet.l4_protocol == kIpProtoUdp;
}

void Ask(Burst& burst, uint32_t i) {
  burst.question[burst.question_count++] = static_cast<uint8_t>(i);
}

bool IsFrontend(const FrontendTable& frontends, const IpAddress& address) {
  return frontends.HasAddress(address.bytes().data(), address.family());
}

// ARP, and neighbour discovery that was not sent to a frontend's address.
void JudgeNeighbour(const FrontendTable& frontends, Burst& burst, uint32_t i,
                    const NeighbourView& view, DropReason malformed) {
  // Whoever asks claims its own address in passing, and receivers note it: such a question is an
  // announcement, whatever it asks for.
  if (view.kind == NeighbourKind::kQuestion && IsFrontend(frontends, view.sender)) {
    return burst.Drop(i, DropReason::k_address_conflict);
  }
  if (view.has_target && IsFrontend(frontends, view.target)) {
    switch (view.kind) {
      case NeighbourKind::kQuestion:
        return Ask(burst, i);
      case NeighbourKind::kAnnouncement:
        return burst.Drop(i, DropReason::k_address_conflict);
      case NeighbourKind::kMalformed:
        return burst.Drop(i, malformed);
      case NeighbourKind::kNone:
        break;
    }
  }
  burst.verdict[i] = Verdict::kToKernel;
}

// IP to an address that is no frontend's: the kernel's, unless it is neighbour discovery (sent to a
// multicast address) about one.
void JudgeForeign(const FrontendTable& frontends, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  if (packet.kind != FrameKind::kIpv6 || packet.defect != DropReason::kNone ||
      packet.l4_protocol != kIpProtoIcmpv6) {
    burst.verdict[i] = Verdict::kToKernel;
    return;
  }
  JudgeNeighbour(frontends, burst, i, ReadNeighbour(burst.frame[i], burst.linear_length[i], packet),
                 DropReason::k_bad_neighbour);
}

// ICMP of the packet's family, to a frontend's address.
void JudgeIcmp(const FrontendTable& frontends, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  const uint8_t* frame = burst.frame[i];
  const uint32_t length = burst.linear_length[i];
  if (packet.is_fragment) return burst.Drop(i, DropReason::k_fragment);
  if (packet.kind == FrameKind::kIpv6) {
    const NeighbourView view = ReadNeighbour(frame, length, packet);
    if (view.kind == NeighbourKind::kMalformed) {
      return burst.Drop(i, DropReason::k_bad_neighbour);
    }
    if (view.kind != NeighbourKind::kNone) {
      JudgeNeighbour(frontends, burst, i, view, DropReason::k_bad_neighbour);
      if (burst.verdict[i] != Verdict::kToKernel) return;
      // About another address than the one that it was sent to.
      return burst.Drop(i, DropReason::k_icmp_unsupported);
    }
  }
  if (IsEchoRequest(frame, length, packet)) return Ask(burst, i);
  const uint8_t echo = packet.kind == FrameKind::kIpv4 ? kIcmpEchoRequest : kIcmpv6EchoRequest;
  burst.Drop(
      i, frame[packet.l4_offset] == echo ? DropReason::k_bad_icmp : DropReason::k_icmp_unsupported);
}

// The whole order of judgement for an IP packet that is not plainly a service's.
void JudgeIp(PipelineContext& context, Burst& burst, uint32_t i) {
  const FrontendTable& frontends = context.tables->frontends();
  const ParsedPacket& packet = burst.packet[i];
  const FlowKey& key = burst.key[i];
  const bool is_v4 = packet.kind == FrameKind::kIpv4;
  const Family family = is_v4 ? Family::kIpv4 : Family::kIpv6;
  if (!frontends.HasAddress(DestinationOf(key).bytes(), family)) {
    return JudgeForeign(frontends, burst, i);
  }
  if (packet.group_mac) return burst.Drop(i, DropReason::k_group_mac);
  if (frontends.HasAddress(SourceOf(key).bytes(), family)) {
    return burst.Drop(i, DropReason::k_bad_source);
  }
  if (packet.defect != DropReason::kNone) return burst.Drop(i, packet.defect);
  if (burst.nic_bad_ip_checksum[i]) return burst.Drop(i, DropReason::k_bad_ip_checksum);
  if (packet.l4_protocol == (is_v4 ? kIpProtoIcmp : kIpProtoIcmpv6)) {
    return JudgeIcmp(frontends, burst, i);
  }
  if (!HasPorts(packet) && !packet.later_fragment) {
    return burst.Drop(i, DropReason::k_unsupported_protocol);
  }

  // A later fragment has no ports to look up: it can be a service's, but we cannot say which.
  const uint32_t service = packet.later_fragment ? kNoService : frontends.FindDestination(key);
  if (service == kNoService && !packet.later_fragment) {
    return burst.Drop(i, DropReason::k_no_frontend);
  }
  if (service != kNoService) {
    Add(&context.counters->service(context.tables->services()[service].counter_index).drops, 1);
  }
  burst.Drop(
      i, TtlOf(burst.frame[i], packet) <= 1 ? DropReason::k_ttl_expired : DropReason::k_fragment);
}

// True for what nearly every packet is: sound TCP or UDP to a frontend, by a host that is none.
inline bool IsPlain(const FrontendTable& frontends, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  if (packet.kind < FrameKind::kIpv4 || packet.defect != DropReason::kNone || !HasPorts(packet) ||
      packet.is_fragment || packet.group_mac || burst.nic_bad_ip_checksum[i]) {
    return false;
  }
  const FlowKey& key = burst.key[i];
  burst.service[i] = frontends.FindDestination(key);
  const Family family = packet.kind == FrameKind::kIpv4 ? Family::kIpv4 : Family::kIpv6;
  return burst.service[i] != kNoService && TtlOf(burst.frame[i], packet) > 1 &&
         !frontends.HasAddress(SourceOf(key).bytes(), family);
}

void GiveAllToKernel(Burst& burst) {
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (burst.verdict[i] == Verdict::kPending) burst.verdict[i] = Verdict::kToKernel;
  }
}

}  // namespace

void LookupServices(PipelineContext& context, Burst& burst) {
  burst.live_count = 0;
  burst.question_count = 0;
  if (context.tables == nullptr) return GiveAllToKernel(burst);

  const FrontendTable& frontends = context.tables->frontends();
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (burst.verdict[i] != Verdict::kPending) continue;
    burst.service[i] = kNoService;
    if (IsPlain(frontends, burst, i)) {
      burst.live[burst.live_count++] = static_cast<uint8_t>(i);
      continue;
    }
    switch (burst.packet[i].kind) {
      case FrameKind::kArp:
        JudgeNeighbour(frontends, burst, i,
                       ReadArp(burst.frame[i], burst.linear_length[i], burst.packet[i]),
                       DropReason::k_bad_arp);
        break;
      case FrameKind::kIpv4:
      case FrameKind::kIpv6:
        JudgeIp(context, burst, i);
        break;
      case FrameKind::kOther:
      case FrameKind::kUnreadable:  // judged by ParseHeaders
        burst.verdict[i] = Verdict::kToKernel;
        break;
    }
  }
}

}  // namespace fairlead
