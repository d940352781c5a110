// A kernel interface by AF_PACKET.
#include <algorithm>
#include <bit>

#include "dataplane/device/interface_device.h"

namespace fairlead {
namespace {

std::string Arguments(const DeviceSpec& spec, const DeviceUse& use) {
  // A frame lies behind up to 128 bytes of the kernel's own in its ring entry, and an entry
  // within one block. 2048 entries a ring ride out 100 ms of a busy neighbour at 20 kpps.
  const uint32_t entry = std::bit_ceil(std::max(use.frame_bytes + 128, 2048U));
  const uint32_t block = std::max(entry, 16384U);
  return "iface=" + spec.target + ",qpairs=" + std::to_string(use.queue_count) +
         ",framesz=" + std::to_string(entry) + ",blocksz=" + std::to_string(block) +
         ",framecnt=2048";
}

}  // namespace

constinit const DeviceKind kAfPacketDevice = {.form = "af_packet:IF",
                                              .word = "af_packet",
                                              .parse = ParseInterface,
                                              .claim = ClaimInterface,
                                              .is_interface = true,
                                              .kernel_interface = KernelInterface::kTarget,
                                              .vdev_prefix = "net_af_packet_fl",
                                              .vdev_arguments = Arguments};

}  // namespace fairlead
