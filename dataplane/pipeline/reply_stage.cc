#include <algorithm>

#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/frame_edit.h"
#include "dataplane/pipeline/originate.h"
#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/rewrite_row.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/icmp_error.h"
#include "lib/table/select.h"

namespace fairlead {
namespace {

IpAddress FrontendOf(const NatRow& row, const ParsedPacket& packet) {
  const auto& bytes = row.frontend.address;
  return packet.kind == FrameKind::kIpv4
             ? IpAddress::FromV4(std::span<const uint8_t, 4>(bytes.data(), 4))
             : IpAddress::FromV6(bytes);
}

// True if the destination is a unicast address and not the balancer's own. Backends answer health
// checks to the balancer's own addresses.
bool GoesToClient(const ForwardingTables& tables, const FlowKey& key) {
  const IpAddress destination = key.destination();
  const auto own = tables.own_addresses();
  return !destination.IsUnusable() && std::find(own.begin(), own.end(), destination) == own.end();
}

// The row of an ICMP error about a packet that nat sent to a backend; null for other packets.
const NatRow* RowOfError(PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  if (packet.is_fragment ||
      !IsForwardedIcmpError(FamilyOf(packet), burst.frame[i][packet.l4_offset])) {
    return nullptr;
  }
  if (burst.linear_length[i] < burst.frame_length[i] &&
      (context.buffers == nullptr || !context.buffers->Gather(&burst, i))) {
    return nullptr;
  }
  IcmpError error;
  const DropReason defect = ReadIcmpError(burst.frame[i], burst.linear_length[i], packet, &error);
  return defect == DropReason::kNone ? context.tables->nat().FindSource(error.key) : nullptr;
}

// Judges a fragment without a defect whose destination is not a frontend.
bool JudgeReplyFragment(PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  const FlowKey& key = burst.key[i];
  if (context.fragments == nullptr || context.buffers == nullptr || IsIcmp(packet) ||
      !context.tables->nat().HasSource(key) || !GoesToClient(*context.tables, key)) {
    return false;
  }
  if (packet.later_fragment) {
    // The next header of an IPv6 later fragment has no meaning (RFC 8200, 4.5).
    if (packet.kind == FrameKind::kIpv4 && !IsTcpOrUdp(packet)) return false;
    burst.fragments.Add(i);
    return true;
  }
  const bool answers = IsTcpOrUdp(packet) && !IsSynFlags(packet.tcp_flags);
  const NatRow* row = answers ? context.tables->nat().FindSource(key) : nullptr;
  RecordReplyDecision(context, burst, i, row != nullptr);
  if (row == nullptr) return false;
  burst.nat_row[i] = row;
  burst.replies.Add(i);
  return true;
}

// Returns kNone, or the drop reason.
DropReason SendToClient(PipelineContext& context, Burst& burst, uint32_t i, const NatRow& row) {
  const ParsedPacket& packet = burst.packet[i];
  const ClientHop& hop = context.tables->client_hop(FamilyOf(packet));
  if (!hop.known) return DropReason::k_no_next_hop;
  burst.egress_port[i] = hop.egress_port == kIngressPort ? burst.ingress_port[i] : hop.egress_port;
  const uint16_t mtu = context.ports[burst.egress_port[i]].mtu;
  const bool too_big = packet.l3_length > mtu;
  if (too_big) {
    const DropReason verdict = JudgeTooBig(context, burst, i, FrontendOf(row, packet), mtu);
    if (verdict != DropReason::kNone) return verdict;
  }
  if (hop.vlan != 0 && !ReplaceTags(burst, i, hop.vlan)) return DropReason::k_no_headroom;
  const ServiceEntry& service = context.tables->services()[row.service_index];
  const DropReason refusal =
      RewriteRowOf(service.mode).rewrite_reply({context, burst, i, row, hop});
  if (refusal != DropReason::kNone || !too_big) return refusal;
  return CutPacket(context, burst, i, mtu, PieceTunnel());
}

}  // namespace

bool AddIfReply(PipelineContext& context, Burst& burst, uint32_t i) {
  const NatTable& nat = context.tables->nat();
  const ParsedPacket& packet = burst.packet[i];
  if (nat.empty() || packet.defect != DropReason::kNone || packet.group_mac ||
      burst.nic_bad_ip_checksum[i]) {
    return false;
  }
  if (packet.is_fragment) return JudgeReplyFragment(context, burst, i);
  const NatRow* row = nullptr;
  if (IsTcpOrUdp(packet)) {
    // A SYN begins a connection, so it is not a reply.
    if (IsSynFlags(packet.tcp_flags)) return false;
    row = nat.FindSource(burst.key[i]);
  } else if (IsIcmp(packet)) {
    row = RowOfError(context, burst, i);
  }
  if (row == nullptr || !GoesToClient(*context.tables, burst.key[i])) return false;
  burst.nat_row[i] = row;
  burst.replies.Add(i);
  return true;
}

void TranslateReplies(PipelineContext& context, Burst& burst) {
  for (const uint32_t i : burst.replies) {
    const NatRow& row = *burst.nat_row[i];
    burst.service[i] = row.service_index;
    if (burst.packet[i].has_ah) {
      DropPacket(context, burst, i, DropReason::k_ah_nat);
    } else if (JudgeTtl(context, burst, i, [&] { return FrontendOf(row, burst.packet[i]); })) {
      const DropReason refusal = SendToClient(context, burst, i, row);
      if (refusal == DropReason::kNone) {
        burst.verdict[i] = Verdict::kForward;
      } else {
        DropPacket(context, burst, i, refusal);
      }
    }
  }
}

}  // namespace fairlead
