// ipip: IP in IP (lib/encap/tunnel.h).
#include "lib/mode/mode.h"

namespace fairlead {
namespace {

uint32_t Overhead(Family outer, uint32_t /*flags*/) {
  return TunnelOverhead(TunnelKind::kIpip, outer);
}

Result<TunnelTemplate> MakeTemplate(TunnelSettings settings) {
  settings.kind = TunnelKind::kIpip;
  return MakeTunnelTemplate(settings);
}

std::string Describe(const ModeTarget& target) {
  return " Tunnelled to " + target.backend.address.ToString() + " (IP in IP), " +
         std::to_string(target.overhead_bytes) + " bytes longer.";
}

}  // namespace

extern const ModeDescriptor kIpipMode;
const ModeDescriptor kIpipMode = {
    .name = "ipip",
    .checks_through_dataplane = true,
    .overhead = Overhead,
    .make_template = MakeTemplate,
    .spreads_source = true,
    .describe = Describe,
};

}  // namespace fairlead
