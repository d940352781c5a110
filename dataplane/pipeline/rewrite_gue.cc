// gue: adds outer IP, UDP and GUE headers. The slow path also adds a UDP checksum and second
// chance's candidate list. A packet that is too big is cut before it is encapsulated, as in ipip.
#include "dataplane/pipeline/rewrite_tunnel.h"
#include "lib/table/candidates.h"

namespace fairlead {
namespace {

CandidateList CandidatesOf(const RewriteJob& job) {
  // A later fragment has no ports, so its slot is unknown: hash.low is another packet's.
  if (job.packet().later_fragment) [[unlikely]] {
    return {static_cast<Family>(job.backend.family),
            static_cast<uint32_t>(job.context.tables->generation())};
  }
  return ListCandidates(*job.context.tables, job.service, job.burst.hash[job.i],
                        job.burst.backend[job.i]);
}

PieceTunnel TunnelWith(const RewriteJob& job, const CandidateList& candidates) {
  PieceTunnel tunnel = TunnelOf(job);
  tunnel.udp_checksum = (job.service.flags & kServiceGueChecksum) != 0;
  tunnel.data = candidates.data();
  return tunnel;
}

DropReason RewriteGuePacket(const RewriteJob& job) {
  const CandidateList candidates = CandidatesOf(job);
  const PieceTunnel tunnel = TunnelWith(job, candidates);
  return tunnel.udp_checksum ? EncapsulateWithChecksum(job.context, job.burst, job.i, tunnel)
                             : EncapsulatePacket(job.burst, job.i, tunnel);
}

DropReason CutIntoGue(const RewriteJob& job, uint32_t mtu) {
  const CandidateList candidates = CandidatesOf(job);
  return CutPacket(job.context, job.burst, job.i, mtu, TunnelWith(job, candidates));
}

template <Family kFamily>
constexpr FastPathFn kFastPath = TunnelFastPath<ForwardingMode::kGue, TunnelKind::kGue, kFamily>;

}  // namespace

extern const RewriteRow kGueRewrite;
const RewriteRow kGueRewrite = {.rewrite = RewriteGuePacket,
                                .cut = CutIntoGue,
                                .fast_path = {kFastPath<Family::kIpv4>, kFastPath<Family::kIpv6>}};

}  // namespace fairlead
