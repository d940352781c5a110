#include "dataplane/device/device_kind.h"

namespace fairlead {
namespace {

constexpr const DeviceKind* kDeviceKinds[] = {
    &kPciDevice,  &kAfXdpDevice, &kAfPacketDevice, &kTapDevice,  &kMemifDevice,
    &kPcapDevice, &kNullDevice,  &kRingDevice,     &kVdevDevice,
};

}  // namespace

std::span<const DeviceKind* const> DeviceKinds() { return kDeviceKinds; }

}  // namespace fairlead
