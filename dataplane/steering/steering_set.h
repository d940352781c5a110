// Which packets a snapshot makes the dataplane's.
#pragma once

#include "dataplane/steering/frontend_steering.h"
#include "lib/snapshot/view.h"

namespace fairlead {

// All frontends' addresses, and of each nat service every (backend address, protocol, port) that
// answers for one of its frontends. Example: frontends :80/tcp and :53/udp, backend 10.0.0.11:8080
// -> 10.0.0.11 tcp 8080 and 10.0.0.11 udp 8080. Backends that are down are in it: what they still
// send of old flows is to be translated, not to be reset by the kernel.
SteeringSet SteeringSetOf(const SnapshotView& snapshot);

}  // namespace fairlead
