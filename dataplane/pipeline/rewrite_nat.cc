// nat: the destination becomes the backend, the source of a reply the frontend; ICMP errors about
// either are translated with what they quote.
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

[[gnu::noinline]] DropReason RewriteNatError(const RewriteJob& job) {
  IcmpError error;
  // ForwardErrors has read it before; so rare a packet does not deserve a place in the burst.
  const DropReason refusal =
      ReadIcmpError(job.frame(), job.burst.linear_length[job.i], job.packet(), &error);
  if (refusal != DropReason::kNone) return refusal;
  RewriteIcmpErrorForward(job.frame(), job.packet(), error, EndpointOf(job.backend),
                          job.backend.destination_mac, job.source_mac());
  return DropReason::kNone;
}

DropReason RewriteNatPacket(const RewriteJob& job) {
  const ParsedPacket& packet = job.packet();
  if (packet.has_ah) [[unlikely]]
    return DropReason::k_ah_nat;
  if (!HasPorts(packet) && IsIcmp(packet)) [[unlikely]]
    return RewriteNatError(job);
  if (IsHairpin(job.burst.key[job.i], job.backend)) [[unlikely]]
    return DropReason::k_hairpin;
  if ((packet.tcp_flags & kTcpSyn) != 0 && (job.service.flags & kServiceMssClamp) != 0) {
    ClampToPorts(job.context, job.burst, job.i);
  }
  RewriteNatForward(job.frame(), packet, EndpointOf(job.backend), job.backend.destination_mac,
                    job.source_mac());
  return DropReason::kNone;
}

// SYNs, whose MSS may have to be clamped, take the slow path.
uint32_t NatFastPath(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  return RunFastPath<FastPathOf(ForwardingMode::kNat, Family::kIpv4)>(
      context, burst, list, count,
      [&](uint32_t i, uint32_t, const BackendEntry& backend, const Egress& egress) {
        const ParsedPacket& packet = burst.packet[i];
        if (packet.l3_length > egress.mtu || !HasPorts(packet) || packet.has_ah ||
            (packet.tcp_flags & kTcpSyn) != 0 || IsHairpin(burst.key[i], backend)) {
          return false;
        }
        RewriteNatForward(burst.frame[i], packet, EndpointOf(backend), backend.destination_mac,
                          egress.mac_bytes);
        return true;
      });
}

DropReason RewriteNatReply(const ReplyJob& job) {
  const ParsedPacket& packet = job.packet();
  const NatEndpoint& frontend = job.row.frontend;
  if (!HasPorts(packet) && IsIcmp(packet) && !packet.is_fragment) {
    IcmpError error;
    const DropReason refusal =
        ReadIcmpError(job.frame(), job.burst.linear_length[job.i], packet, &error);
    if (refusal != DropReason::kNone) return refusal;
    RewriteIcmpErrorReverse(job.frame(), packet, error, frontend, job.hop.destination_mac,
                            job.source_mac());
    return DropReason::kNone;
  }
  const ServiceEntry& service = job.context.tables->services()[job.row.service_index];
  if ((packet.tcp_flags & kTcpSyn) != 0 && (service.flags & kServiceMssClamp) != 0) {
    ClampToPorts(job.context, job.burst, job.i);
  }
  RewriteNatReverse(job.frame(), packet, frontend, job.hop.destination_mac, job.source_mac());
  return DropReason::kNone;
}

}  // namespace

extern const RewriteRow kNatRewrite;
const RewriteRow kNatRewrite = {.rewrite = RewriteNatPacket,
                                .cut = RewriteThenCut,
                                .fast_path = {NatFastPath},
                                .rewrite_reply = RewriteNatReply};

}  // namespace fairlead
