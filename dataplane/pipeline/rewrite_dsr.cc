// dsr: rewrites Ethernet addresses and TTL.
#include "dataplane/pipeline/fast_path.h"
#include "lib/encap/dsr.h"

namespace fairlead {
namespace {

DropReason RewriteDsrPacket(const RewriteJob& job) {
  RewriteDsr(job.frame(), job.packet(), job.backend.destination_mac,
             SourceMac::Of(job.source_mac()));
  return DropReason::kNone;
}

uint32_t DsrFastPath(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  return RunFastPath<FastPathOf(ForwardingMode::kDsr, Family::kIpv4)>(
      context, burst, list, count,
      [&](uint32_t i, uint32_t, const BackendEntry& backend, const Egress& egress) {
        const ParsedPacket& packet = burst.packet[i];
        if (packet.l3_length > egress.mtu) return false;
        RewriteDsr(burst.frame[i], packet, backend.destination_mac, egress.mac);
        return true;
      });
}

}  // namespace

extern const RewriteRow kDsrRewrite;
const RewriteRow kDsrRewrite = {
    .rewrite = RewriteDsrPacket, .cut = RewriteThenCut, .fast_path = {DsrFastPath}};

}  // namespace fairlead
