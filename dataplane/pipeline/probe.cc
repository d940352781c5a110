#include "dataplane/pipeline/probe.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "dataplane/pipeline/packet_access.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint32_t kEthernetBytes = sizeof(EthernetHeader);

}  // namespace

Result<ProbeRewriter> ProbeRewriter::Create(std::span<const PortView> ports) {
  ASSIGN_OR_RETURN(WorkerCounters counters, WorkerCounters::Create());
  return ProbeRewriter(ports, std::move(counters));
}

ProbeRewriter::ProbeRewriter(std::span<const PortView> ports, WorkerCounters counters)
    : ports_(ports),
      counters_(std::make_unique<WorkerCounters>(std::move(counters))),
      burst_(std::make_unique<Burst>()),
      buffer_(kHeadroom + kEthernetBytes + kMaxPacketBytes) {
  context_.ports = ports;
  context_.counters = counters_.get();
}

uint16_t ProbeRewriter::PortOf(const IpAddress& source) const {
  const auto found = std::ranges::find_if(ports_, [&](const PortView& port) {
    return port.address_v4 == source || port.address_v6 == source;
  });
  return found == ports_.end() ? uint16_t{0} : static_cast<uint16_t>(found - ports_.begin());
}

void ProbeRewriter::Load(std::span<const uint8_t> packet) {
  uint8_t* const frame = buffer_.data() + kHeadroom;
  const bool is_v6 = packet[0] >> 4 == 6;
  EthernetHeader header = {};  // the MACs are set by Rewrite
  header.ether_type = Be16::FromHost(is_v6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
  std::memcpy(frame, &header, sizeof(header));
  std::memcpy(frame + kEthernetBytes, packet.data(), packet.size());
  Burst& burst = *burst_;
  burst.ClearLists();
  burst.count = 1;
  burst.frame[0] = frame;
  burst.frame_length[0] = kEthernetBytes + static_cast<uint32_t>(packet.size());
  burst.linear_length[0] = burst.frame_length[0];
  burst.headroom[0] = kHeadroom;
  burst.tailroom[0] = static_cast<uint16_t>(kMaxPacketBytes - packet.size());
  burst.verdict[0] = Verdict::kPending;
  burst.reason[0] = DropReason::kNone;
  ParseFrame(frame, burst.linear_length[0], burst.frame_length[0], &burst.packet[0], &burst.key[0]);
}

DropReason ProbeRewriter::Rewrite(const ForwardingTables& tables, uint32_t backend_id,
                                  std::span<const uint8_t> packet, Frame* frame) {
  if (packet.empty() || packet.size() > kMaxPacketBytes) return DropReason::k_bad_ip_length;
  Load(packet);
  Burst& burst = *burst_;
  const ParsedPacket& parsed = burst.packet[0];
  if (parsed.kind != FrameKind::kIpv4 && parsed.kind != FrameKind::kIpv6) {
    return DropReason::k_bad_ip_version;
  }
  if (parsed.defect != DropReason::kNone) return parsed.defect;
  if (parsed.is_fragment) return DropReason::k_fragment;
  if (!IsTcpOrUdp(parsed)) return DropReason::k_unsupported_protocol;
  const uint32_t service = tables.frontends().FindDestination(burst.key[0]);
  if (service == kNoService) return DropReason::k_no_frontend;
  const BackendEntry* backend = tables.FindBackend(backend_id);
  if (backend == nullptr || backend->service_index != service) return DropReason::k_no_backend;
  burst.ingress_port[0] = PortOf(burst.key[0].source());
  burst.service[0] = service;
  burst.backend[0] = static_cast<uint32_t>(backend - tables.backends().data());
  // Tunnels spread packets over paths by the hash.
  burst.hash[0] =
      HashFlow(burst.key[0], tables.services()[service].hash_policy, tables.hash_seed());
  burst.live.Add(0);
  context_.tables = &tables;
  fairlead::Rewrite(context_, burst);
  if (burst.verdict[0] != Verdict::kForward) return burst.reason[0];
  *frame = {{burst.frame[0], burst.frame_length[0]}, burst.egress_port[0]};
  return DropReason::kNone;
}

}  // namespace fairlead
