#include "dataplane/port/kernel_tap.h"

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <signal.h>

#include <net/if.h>

#include "dataplane/eal/bootstrap.h"

namespace fairlead {
namespace {

constexpr uint32_t kMaxQueues = 16;  // RTE_PMD_TAP_MAX_QUEUES

Status TapError(const PortConfig& config, const std::string& what) {
  const std::string why = TakeFirstEalError();
  return FailedPrecondition("kernel: tap:" + config.kernel_tap + " " + what +
                            (why.empty() ? "" : " (" + why + ")"));
}

// Makes system calls continue after real-time signals. net_tap wakes its readers with such a
// signal. Its handler would interrupt accept() in DPDK's telemetry thread, which would then end.
void RestartInterruptedCalls() {
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
    struct sigaction action = {};
    if (sigaction(number, nullptr, &action) != 0) continue;
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) continue;
    action.sa_flags |= SA_RESTART;
    sigaction(number, &action, nullptr);
  }
}

Status Start(const PortConfig& config, uint16_t id, uint16_t mtu, uint32_t worker_count,
             rte_mempool* pool) {
  const rte_eth_conf conf = {};
  const auto queues = static_cast<uint16_t>(worker_count);
  if (rte_eth_dev_configure(id, queues, queues, &conf) != 0) {
    return TapError(config, "rejects its configuration");
  }
  for (uint16_t queue = 0; queue < queues; ++queue) {
    if (rte_eth_rx_queue_setup(id, queue, kTapDescriptors, 0, nullptr, pool) != 0 ||
        rte_eth_tx_queue_setup(id, queue, kTapDescriptors, 0, nullptr) != 0) {
      return TapError(config, "cannot set up queue " + std::to_string(queue));
    }
  }
  if (rte_eth_dev_set_mtu(id, mtu) != 0) {
    return TapError(config, "rejects the port's MTU " + std::to_string(mtu));
  }
  if (rte_eth_dev_start(id) != 0) return TapError(config, "cannot be started");
  return {};
}

}  // namespace

Result<uint16_t> OpenKernelTap(const PortConfig& config, uint32_t port_index, const PortView& view,
                               uint32_t worker_count, rte_mempool* pool) {
  TakeFirstEalError();  // discards earlier errors
  if (worker_count > kMaxQueues) {
    return TapError(config, "serves at most " + std::to_string(kMaxQueues) + " workers, not " +
                                std::to_string(worker_count));
  }
  if (if_nametoindex(config.kernel_tap.c_str()) != 0) {
    return TapError(config, "already exists; choose another name");
  }
  const std::string name = "net_tap_kernel" + std::to_string(port_index);
  const std::string arguments = "iface=" + config.kernel_tap + ",mac=" + view.mac.ToString();
  uint16_t id = 0;
  if (rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str()) != 0 ||
      rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
    return TapError(config, "cannot be created; it needs /dev/net/tun and CAP_NET_ADMIN");
  }
  const Status started = Start(config, id, view.mtu, worker_count, pool);
  if (!started.ok()) {
    rte_eth_dev_close(id);
    return started;
  }
  RestartInterruptedCalls();
  return id;
}

}  // namespace fairlead
