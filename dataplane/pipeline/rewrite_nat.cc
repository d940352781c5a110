// nat: the destination becomes the backend. The source of a reply becomes the frontend. ICMP errors
// about either are translated together with the packet that they quote.
#include <cstring>

#include "dataplane/pipeline/fast_path.h"
#include "dataplane/pipeline/mss_clamp.h"
#include "dataplane/pipeline/packet_access.h"
#include "lib/encap/nat.h"
#include "lib/encap/nat_icmp.h"
#include "lib/net/icmp_error.h"

namespace fairlead {
namespace {

NatEndpoint EndpointOf(const BackendEntry& backend) {
  NatEndpoint endpoint;
  std::memcpy(endpoint.address.data(), backend.address, sizeof(backend.address));
  endpoint.port = backend.port;
  return endpoint;
}

[[gnu::noinline]] DropReason RewriteErrorToBackend(const RewriteJob& job) {
  IcmpError error;
  // Parses it again after ForwardErrors. Such packets are too rare for an array in the burst.
  const DropReason refusal =
      ReadIcmpError(job.frame(), job.burst.linear_length[job.i], job.packet(), &error);
  if (refusal != DropReason::kNone) return refusal;
  TranslateIcmpErrorToBackend(job.frame(), job.packet(), error, EndpointOf(job.backend),
                              job.backend.destination_mac, job.source_mac());
  return DropReason::kNone;
}

DropReason RewriteNatPacket(const RewriteJob& job) {
  const ParsedPacket& packet = job.packet();
  if (packet.has_ah) [[unlikely]]
    return DropReason::k_ah_nat;
  if (!IsTcpOrUdp(packet) && IsIcmp(packet)) [[unlikely]]
    return RewriteErrorToBackend(job);
  if (IsHairpin(job.burst.key[job.i], job.backend)) [[unlikely]]
    return DropReason::k_hairpin;
  if ((packet.tcp_flags & kTcpSyn) != 0 && (job.service.flags & kServiceMssClamp) != 0) {
    ClampMssToMtus(job.context, job.burst, job.i);
  }
  RewriteNatToBackend(job.frame(), packet, EndpointOf(job.backend), job.backend.destination_mac,
                      job.source_mac());
  return DropReason::kNone;
}

// SYNs, whose MSS may have to be clamped, take the slow path. Both families: only tunnels have a
// fast path for each.
uint32_t NatFastPath(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  return RunFastPath<FastPathOf(ForwardingMode::kNat, Family::kIpv4)>(
      context, burst, list, count,
      [&](uint32_t i, uint32_t, const BackendEntry& backend, const Egress& egress) {
        const ParsedPacket& packet = burst.packet[i];
        if (packet.l3_length > egress.mtu || !IsTcpOrUdp(packet) || packet.has_ah ||
            (packet.tcp_flags & kTcpSyn) != 0 || IsHairpin(burst.key[i], backend)) {
          return false;
        }
        RewriteNatToBackend(burst.frame[i], packet, EndpointOf(backend), backend.destination_mac,
                            egress.mac_bytes);
        return true;
      });
}

DropReason RewriteNatReply(const ReplyJob& job) {
  const ParsedPacket& packet = job.packet();
  const NatEndpoint& frontend = job.nat_row.frontend;
  // A later fragment of an ICMP error has no ICMP header. It is translated as any packet.
  if (!IsTcpOrUdp(packet) && IsIcmp(packet) && !packet.is_fragment) {
    IcmpError error;
    const DropReason refusal =
        ReadIcmpError(job.frame(), job.burst.linear_length[job.i], packet, &error);
    if (refusal != DropReason::kNone) return refusal;
    TranslateIcmpErrorToClient(job.frame(), packet, error, frontend, job.hop.destination_mac,
                               job.source_mac());
    return DropReason::kNone;
  }
  const ServiceEntry& service = job.context.tables->services()[job.nat_row.service_index];
  if ((packet.tcp_flags & kTcpSyn) != 0 && (service.flags & kServiceMssClamp) != 0) {
    ClampMssToMtus(job.context, job.burst, job.i);
  }
  RewriteNatToClient(job.frame(), packet, frontend, job.hop.destination_mac, job.source_mac());
  return DropReason::kNone;
}

}  // namespace

extern const RewriteRow kNatRewrite;
const RewriteRow kNatRewrite = {.rewrite = RewriteNatPacket,
                                .cut = RewriteThenCut,
                                .fast_path = {NatFastPath},
                                .rewrite_reply = RewriteNatReply};

}  // namespace fairlead
