// A mode that only forwards: the packet goes to the backend's MAC, and not even its TTL changes.
// Only the program unit-mode-of-a-test has it. The mode needs this file and one line of modes.def.
#include "dataplane/pipeline/fast_path.h"
#include "lib/mode/mode.h"

namespace fairlead {

extern const ModeDescriptor kForwardMode;
const ModeDescriptor kForwardMode = {
    .name = "forward",
    .backend_port = BackendPort::kRefused,
    .needs_on_link = true,
    .describe =
        [](const ModeTarget& target) {
          return " Forwarded to " + target.backend.ToString() + " as it is.";
        },
};

namespace {

DropReason ForwardPacket(const RewriteJob& job) {
  WriteMacs(job.frame(), job.backend.destination_mac, SourceMac::Of(job.source_mac()));
  return DropReason::kNone;
}

uint32_t ForwardFastPath(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  return RunFastPath<FastPathOf(static_cast<ForwardingMode>(4), Family::kIpv4)>(
      context, burst, list, count,
      [&](uint32_t i, uint32_t, const BackendEntry& backend, const Egress& egress) {
        if (burst.packet[i].l3_length > egress.mtu) return false;
        WriteMacs(burst.frame[i], backend.destination_mac, egress.mac);
        return true;
      });
}

}  // namespace

extern const RewriteRow kForwardRewrite;
const RewriteRow kForwardRewrite = {
    .rewrite = ForwardPacket, .cut = RewriteThenCut, .fast_path = {ForwardFastPath}};

}  // namespace fairlead
