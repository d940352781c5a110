// What is sent comes back in.
#include "dataplane/device/device_kind.h"

namespace fairlead {

constinit const DeviceKind kRingDevice = {
    .form = "ring", .word = "ring", .vdev_prefix = "net_ring_fl"};

}  // namespace fairlead
