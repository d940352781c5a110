// Receives what it sends.
#include "dataplane/device/device_kind.h"

namespace fairlead {

constinit const DeviceKind kRingDevice = {
    .syntax = "ring", .name = "ring", .vdev_prefix = "net_ring_fl"};

}  // namespace fairlead
