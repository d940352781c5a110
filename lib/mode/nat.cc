// nat: the packet's destination becomes the backend, and the source of its replies the frontend
// (lib/encap/nat.h).
#include "lib/mode/mode.h"

namespace fairlead {

extern const ModeDescriptor kNatMode;
const ModeDescriptor kNatMode = {
    .name = "nat",
    .decrements_ttl = true,
    .translates_replies = true,
    .backend_port = BackendPort::kRewritten,
    .allowed_flags = kServiceMssClamp,
    .describe =
        [](const ModeTarget& target) {
          return " Its destination becomes " + target.backend.ToString() + ".";
        },
};

}  // namespace fairlead
