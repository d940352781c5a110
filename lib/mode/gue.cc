// gue: GUE over UDP (lib/encap/tunnel.h), with a candidate list for second chance
// (lib/encap/candidate_list.h).
#include "lib/encap/candidate_list.h"
#include "lib/mode/mode.h"

namespace fairlead {
namespace {

// Whether a packet carries a list depends on the slot's state. The path MTU must not, so space for
// a list is always reserved.
uint32_t Overhead(Family outer, uint32_t flags) {
  return TunnelOverhead(TunnelKind::kGue, outer) +
         ((flags & kServiceSecondChance) != 0 ? MaxCandidateBytes(outer) : 0);
}

Result<TunnelTemplate> MakeTemplate(TunnelSettings settings) {
  settings.kind = TunnelKind::kGue;
  return MakeTunnelTemplate(settings);
}

std::string Describe(const ModeTarget& target) {
  return " Tunnelled to " + Endpoint{target.backend.address, target.tunnel_port}.ToString() +
         " (GUE), " + std::to_string(target.overhead_bytes) + " bytes longer.";
}

}  // namespace

extern const ModeDescriptor kGueMode;
const ModeDescriptor kGueMode = {
    .name = "gue",
    .default_gue_port = kDefaultGuePort,
    .checks_through_dataplane = true,
    .allowed_flags = kServiceGueChecksum | kServiceSecondChance,
    .slow_flags = kServiceGueChecksum | kServiceSecondChance,
    .overhead = Overhead,
    .make_template = MakeTemplate,
    .describe = Describe,
};

}  // namespace fairlead
