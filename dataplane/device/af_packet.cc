// A kernel interface, opened with AF_PACKET.
#include <algorithm>
#include <bit>

#include "dataplane/device/interface_device.h"

namespace fairlead {
namespace {

std::string Arguments(const DeviceSpec& spec, const DeviceUse& use) {
  // In a ring entry, the kernel puts up to 128 bytes before the frame. An entry lies within one
  // block. A ring of 2048 entries holds the packets of 100 ms at 20 kpps, during which another
  // process may have the worker's CPU.
  const uint32_t entry = std::bit_ceil(std::max(use.frame_bytes + 128, 2048U));
  const uint32_t block = std::max(entry, 16384U);
  return "iface=" + spec.target + ",qpairs=" + std::to_string(use.queue_count) +
         ",framesz=" + std::to_string(entry) + ",blocksz=" + std::to_string(block) +
         ",framecnt=2048";
}

}  // namespace

constinit const DeviceKind kAfPacketDevice = {.syntax = "af_packet:IF",
                                              .name = "af_packet",
                                              .parse = ParseInterface,
                                              .claim = ClaimInterface,
                                              .is_interface = true,
                                              .kernel_interface = KernelInterface::kTarget,
                                              .vdev_prefix = "net_af_packet_fl",
                                              .vdev_arguments = Arguments,
                                              .is_present = InterfaceIsPresent};

}  // namespace fairlead
