// A kernel interface by AF_XDP: the kernel's driver gives packets for frontends to the port, and keeps
// all others.
#include <spdlog/spdlog.h>

#include "dataplane/device/interface.h"
#include "dataplane/device/interface_device.h"
#include "dataplane/steering/frontend_steering.h"

namespace fairlead {
namespace {

// An AF_XDP buffer lies within one page (a kernel before 6.6 takes no larger ones, nor does DPDK 22.11),
// and the next larger power of two does not.
constexpr uint16_t kMaxXdpMtu = kLeastRoom - kFrameOverhead - kXdpHeadroom;

Status PortError(const std::string& port, const std::string& what) {
  return FailedPrecondition("port " + port + ": " + what);
}

Status CheckQueues(const DeviceSpec& spec, const std::string& port, uint32_t queue_count) {
  const InterfaceQueues queues = ReadInterfaceQueues(spec.target);
  if (queues.combined < queue_count) {
    const bool could = queues.max_combined >= queue_count;
    return PortError(
        port, spec.text + " has " + std::to_string(queues.combined) +
                  (queues.combined == 1 ? " queue" : " queues") + " for " +
                  std::to_string(queue_count) + " workers; use " +
                  (could ? "ethtool -L " + spec.target + " combined " + std::to_string(queue_count)
                         : "--workers " + std::to_string(queues.combined)));
  }
  if (queues.rx > queue_count) {
    spdlog::warn(
        "port {}: {} receives on {} queues, but {} of them have a worker; what arrives on the "
        "others goes to the kernel (ethtool -L {} combined {})",
        port, spec.target, queues.rx, queue_count, spec.target, queue_count);
  }
  return {};
}

// What must hold before net_af_xdp may have the interface. The path of the steering program.
Result<std::string> Prepare(const DeviceSpec& spec, const std::string& port, uint32_t queue_count) {
  if (const Status rights = FrontendSteering::CheckRights(); !rights.ok()) {
    return PortError(port, spec.text + " cannot be opened: " + rights.message() +
                               "; af_packet:" + spec.target + " does with CAP_NET_RAW");
  }
  RETURN_IF_ERROR(CheckQueues(spec, port, queue_count));
  if (const Status cleared = FrontendSteering::ClearStale(spec.target); !cleared.ok()) {
    return PortError(port, cleared.message());
  }
  return SteeringProgram::Path();
}

std::string Arguments(const DeviceSpec& spec, const DeviceUse& use) {
  return "iface=" + spec.target + ",queue_count=" + std::to_string(use.queue_count) +
         ",xdp_prog=" + use.program;
}

}  // namespace

constinit const DeviceKind kAfXdpDevice = {.form = "af_xdp:IF",
                                           .word = "af_xdp",
                                           .parse = ParseInterface,
                                           .claim = ClaimInterface,
                                           .is_interface = true,
                                           .kernel_interface = KernelInterface::kTarget,
                                           .vdev_prefix = "net_af_xdp_fl",
                                           .vdev_arguments = Arguments,
                                           .max_mtu = kMaxXdpMtu,
                                           .is_steered = true,
                                           .prepare = Prepare};

}  // namespace fairlead
