#include <algorithm>

#include "dataplane/pipeline/departure.h"
#include "dataplane/pipeline/mss_clamp.h"
#include "dataplane/pipeline/originate.h"
#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/stages.h"
#include "lib/encap/nat_icmp.h"
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

// To one host, which is not the balancer itself (that is how health checks are answered).
bool GoesToClient(const ForwardingTables& tables, const FlowKey& key) {
  const IpAddress destination = key.destination();
  const auto own = tables.own_addresses();
  return !destination.IsUnusable() && std::find(own.begin(), own.end(), destination) == own.end();
}

// The row of an ICMP error about what nat sent to a backend; null when it is something else.
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

// A fragment without a defect, to nobody's frontend.
bool JudgeReplyFragment(PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  const FlowKey& key = burst.key[i];
  if (context.fragments == nullptr || context.buffers == nullptr || IsIcmp(packet) ||
      !context.tables->nat().HasSource(key) || !GoesToClient(*context.tables, key)) {
    return false;
  }
  if (packet.later_fragment) {
    // What follows an IPv6 fragment header says nothing (RFC 8200, 4.5).
    if (packet.kind == FrameKind::kIpv4 && !HasPorts(packet)) return false;
    burst.fragment[burst.fragment_count++] = static_cast<uint8_t>(i);
    return true;
  }
  const bool answers = HasPorts(packet) && !IsSynFlags(packet.tcp_flags);
  const NatRow* row = answers ? context.tables->nat().FindSource(key) : nullptr;
  RememberReply(context, burst, i, row != nullptr);
  if (row == nullptr) return false;
  burst.nat_row[i] = row;
  burst.reply[burst.reply_count++] = static_cast<uint8_t>(i);
  return true;
}

DropReason Translate(PipelineContext& context, Burst& burst, uint32_t i, const NatRow& row,
                     const ClientHop& hop) {
  uint8_t* frame = burst.frame[i];
  const ParsedPacket& packet = burst.packet[i];
  const uint8_t* source_mac = context.ports[burst.egress_port[i]].mac.bytes.data();
  if (!HasPorts(packet) && IsIcmp(packet) && !packet.is_fragment) {
    IcmpError error;
    const DropReason refusal = ReadIcmpError(frame, burst.linear_length[i], packet, &error);
    if (refusal != DropReason::kNone) return refusal;
    RewriteIcmpErrorReverse(frame, packet, error, row.frontend, hop.destination_mac, source_mac);
    return DropReason::kNone;
  }
  const ServiceEntry& service = context.tables->services()[row.service_index];
  if ((packet.tcp_flags & kTcpSyn) != 0 && (service.flags & kServiceMssClamp) != 0) {
    ClampToPorts(context, burst, i);
  }
  RewriteNatReverse(frame, packet, row.frontend, hop.destination_mac, source_mac);
  return DropReason::kNone;
}

DropReason SendToClient(PipelineContext& context, Burst& burst, uint32_t i) {
  const NatRow& row = *burst.nat_row[i];
  const ParsedPacket& packet = burst.packet[i];
  const ClientHop& hop = context.tables->client_hop(FamilyOf(packet));
  if (packet.has_ah) return DropReason::k_ah_nat;
  if (TtlOf(burst.frame[i], packet) <= 1) {
    SendIcmpError(context, burst, i, IcmpErrorKind::kTimeExceeded, FrontendOf(row, packet), 0);
    return DropReason::k_ttl_expired;
  }
  if (!hop.known) return DropReason::k_no_next_hop;
  burst.egress_port[i] = hop.egress_port == kIngressPort ? burst.ingress_port[i] : hop.egress_port;
  const uint16_t mtu = context.ports[burst.egress_port[i]].mtu;
  const bool too_big = packet.l3_length > mtu;
  if (too_big) {
    if (!MayCut(burst, i)) {
      SendIcmpError(context, burst, i, IcmpErrorKind::kTooBig, FrontendOf(row, packet), mtu);
      return DropReason::k_too_big;
    }
    const uint32_t flags = context.tables->services()[row.service_index].flags;
    if ((flags & kServiceDropTooBig) != 0) return DropReason::k_too_big;
  }
  if (hop.vlan != 0 && !ReplaceTags(burst, i, hop.vlan)) return DropReason::k_no_headroom;
  const DropReason refusal = Translate(context, burst, i, row, hop);
  if (refusal != DropReason::kNone || !too_big) return refusal;
  return CutPacket(context, burst, i, mtu, PieceTunnel());
}

}  // namespace

bool JudgeReply(PipelineContext& context, Burst& burst, uint32_t i) {
  const NatTable& nat = context.tables->nat();
  const ParsedPacket& packet = burst.packet[i];
  if (nat.empty() || packet.defect != DropReason::kNone || packet.group_mac ||
      burst.nic_bad_ip_checksum[i]) {
    return false;
  }
  if (packet.is_fragment) return JudgeReplyFragment(context, burst, i);
  const NatRow* row = nullptr;
  if (HasPorts(packet)) {
    // Who begins a connection does not answer one.
    if (IsSynFlags(packet.tcp_flags)) return false;
    row = nat.FindSource(burst.key[i]);
  } else if (IsIcmp(packet)) {
    row = RowOfError(context, burst, i);
  }
  if (row == nullptr || !GoesToClient(*context.tables, burst.key[i])) return false;
  burst.nat_row[i] = row;
  burst.reply[burst.reply_count++] = static_cast<uint8_t>(i);
  return true;
}

void TranslateReplies(PipelineContext& context, Burst& burst) {
  for (uint32_t n = 0; n < burst.reply_count; ++n) {
    const uint32_t i = burst.reply[n];
    burst.service[i] = burst.nat_row[i]->service_index;
    const DropReason refusal = SendToClient(context, burst, i);
    if (refusal == DropReason::kNone) {
      burst.verdict[i] = Verdict::kForward;
      continue;
    }
    const ServiceEntry& service = context.tables->services()[burst.service[i]];
    Add(&context.counters->service(service.counter_index).drops, 1);
    burst.Drop(i, refusal);
  }
}

}  // namespace fairlead
