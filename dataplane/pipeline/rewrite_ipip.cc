// ipip: adds an outer IP header. A packet that is too big is cut before it is encapsulated. So
// backends reassemble inner packets, and routers see no fragmented tunnel packets.
#include "dataplane/pipeline/rewrite_tunnel.h"

namespace fairlead {
namespace {

DropReason RewriteIpipPacket(const RewriteJob& job) {
  return EncapsulatePacket(job.burst, job.i, TunnelOf(job));
}

DropReason CutIntoIpip(const RewriteJob& job, uint32_t mtu) {
  return CutPacket(job.context, job.burst, job.i, mtu, TunnelOf(job));
}

template <Family kFamily>
constexpr FastPathFn kFastPath = TunnelFastPath<ForwardingMode::kIpip, TunnelKind::kIpip, kFamily>;

}  // namespace

extern const RewriteRow kIpipRewrite;
const RewriteRow kIpipRewrite = {.rewrite = RewriteIpipPacket,
                                 .cut = CutIntoIpip,
                                 .fast_path = {kFastPath<Family::kIpv4>, kFastPath<Family::kIpv6>}};

}  // namespace fairlead
