#include "dataplane/device/device_mtu.h"

#include <algorithm>

#include "dataplane/device/device_kind.h"

namespace fairlead {
namespace {

constexpr uint32_t kChecksumBytes = 4;
constexpr uint32_t kUntaggedOverhead = 14 + kChecksumBytes;
constexpr uint16_t kUnknownMtu = 65535;

// The bytes that the driver adds to the MTU. rte_eth_dev_configure computes the same.
uint32_t OverheadOf(const NicLimits& limits) {
  if (limits.max_mtu == kUnknownMtu || limits.max_rx_pktlen <= limits.max_mtu) {
    return kUntaggedOverhead;
  }
  return limits.max_rx_pktlen - limits.max_mtu;
}

}  // namespace

DeviceMtu DeviceMtuFor(uint16_t port_mtu, const NicLimits& limits) {
  constexpr uint32_t kNeeded = kFrameOverhead + kChecksumBytes;
  const uint32_t overhead = OverheadOf(limits);
  const uint32_t extra = kNeeded > overhead ? kNeeded - overhead : 0;
  // A port's MTU above the NIC's is not reduced: the driver refuses it, with a reason.
  const uint32_t most = std::max(limits.max_mtu, port_mtu);
  DeviceMtu device;
  device.mtu = static_cast<uint16_t>(std::min(port_mtu + extra, most));
  device.frame_bytes = device.mtu + overhead;
  device.most_with_tags =
      static_cast<uint16_t>(limits.max_mtu > extra ? limits.max_mtu - extra : 0);
  return device;
}

}  // namespace fairlead
