// A kernel interface, opened with AF_XDP: the kernel's driver passes packets for frontends to the
// port. The kernel gets all other packets.
#include <spdlog/spdlog.h>

#include "dataplane/device/interface.h"
#include "dataplane/device/interface_device.h"
#include "dataplane/steering/frontend_steering.h"

namespace fairlead {
namespace {

// An AF_XDP buffer must lie within one page: kernels before 6.6 and DPDK 22.11 accept no larger
// buffer. A buffer of the next larger power of two would not fit.
constexpr uint16_t kMaxXdpMtu = kMinBufferBytes - kFrameOverhead - kXdpHeadroom;

Status PortError(const std::string& port, const std::string& what) {
  return FailedPrecondition("port " + port + ": " + what);
}

Status CheckQueues(const DeviceSpec& spec, const std::string& port, uint32_t queue_count) {
  const InterfaceQueues queues = ReadInterfaceQueues(spec.target);
  if (queues.combined < queue_count) {
    const bool could = queues.max_combined >= queue_count;
    return PortError(
        port, spec.text + " has " + std::to_string(queues.combined) +
                  (queues.combined == 1 ? " queue" : " queues") + ", but there are " +
                  std::to_string(queue_count) + " workers, and each needs a queue; use " +
                  (could ? "ethtool -L " + spec.target + " combined " + std::to_string(queue_count)
                         : "--workers " + std::to_string(queues.combined)) +
                  ", or spread: software");
  }
  if (queues.rx > queue_count) {
    spdlog::warn(
        "port {}: {} receives on {} queues, but the workers poll only {}; packets on the others go "
        "to the kernel; use ethtool -L {} combined {}",
        port, spec.target, queues.rx, queue_count, spec.target, queue_count);
  }
  return {};
}

// Checks and prepares the interface for net_af_xdp. Returns the path of the steering program.
Result<std::string> Prepare(const DeviceSpec& spec, const std::string& port, uint32_t queue_count) {
  if (const Status rights = FrontendSteering::CheckRights(); !rights.ok()) {
    return PortError(port, "cannot open " + spec.text + ": " + rights.message() +
                               "; af_packet:" + spec.target + " needs only CAP_NET_RAW");
  }
  RETURN_IF_ERROR(CheckQueues(spec, port, queue_count));
  if (const Status cleared = FrontendSteering::ClearStale(spec.target); !cleared.ok()) {
    return PortError(port, cleared.message());
  }
  return SteeringProgram::Path();
}

uint32_t QueueLimit(const DeviceSpec& spec) { return ReadInterfaceQueues(spec.target).combined; }

std::string Arguments(const DeviceSpec& spec, const DeviceUse& use) {
  return "iface=" + spec.target + ",queue_count=" + std::to_string(use.queue_count) +
         ",xdp_prog=" + use.program;
}

}  // namespace

constinit const DeviceKind kAfXdpDevice = {.syntax = "af_xdp:IF",
                                           .name = "af_xdp",
                                           .parse = ParseInterface,
                                           .claim = ClaimInterface,
                                           .is_interface = true,
                                           .kernel_interface = KernelInterface::kTarget,
                                           .vdev_prefix = "net_af_xdp_fl",
                                           .vdev_arguments = Arguments,
                                           .max_mtu = kMaxXdpMtu,
                                           .is_steered = true,
                                           .is_present = InterfaceIsPresent,
                                           .prepare = Prepare,
                                           .queue_limit = QueueLimit};

}  // namespace fairlead
