// dsr: the packet goes to the backend's MAC without encapsulation (lib/encap/dsr.h).
#include "lib/mode/mode.h"

namespace fairlead {

extern const ModeDescriptor kDsrMode;
const ModeDescriptor kDsrMode = {
    .name = "dsr",
    .decrements_ttl = true,
    .backend_port = BackendPort::kRefused,
    .needs_on_link = true,
    .checks_through_dataplane = true,
    .describe = [](const ModeTarget&) { return std::string(); },
};

}  // namespace fairlead
