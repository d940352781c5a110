// The packets that a snapshot steers to the dataplane.
#pragma once

#include "dataplane/steering/frontend_steering.h"
#include "lib/snapshot/view.h"

namespace fairlead {

// All frontends' addresses, and for each nat service every (backend address, protocol, port) that
// answers for one of its frontends. Example: frontends :80/tcp and :53/udp, backend 10.0.0.11:8080
// -> 10.0.0.11 tcp 8080 and 10.0.0.11 udp 8080. Includes backends that are down: packets that they
// still send for old flows must be translated, or the kernel would reset them.
SteeringSet SteeringSetOf(const SnapshotView& snapshot);

}  // namespace fairlead
