#include "dataplane/port/port_queues.h"

#include <rte_random.h>

#include <fstream>
#include <string>

#include <spdlog/spdlog.h>

#include "dataplane/port/lacp_bond.h"

namespace fairlead {
namespace {

// The vendor of this computer, or of the hypervisor that emulates it.
std::string MachineVendor() {
  std::ifstream file("/sys/class/dmi/id/sys_vendor");
  std::string vendor;
  std::getline(file, vendor);
  return vendor;
}

}  // namespace

uint32_t QueuesToCreate(const PortConfig& config, uint32_t worker_count) {
  if (config.spread == SpreadMode::kSoftware || config.spread == SpreadMode::kOff) return 1;
  const DeviceSpec& device = config.device;
  const bool is_limited = config.spread == SpreadMode::kAuto && device.kind->queue_limit != nullptr;
  return is_limited && device.kind->queue_limit(device) < worker_count ? 1 : worker_count;
}

Result<QueueSet> QueueSet::Plan(const PortConfig& config, const rte_eth_dev_info& info,
                                const QueueUse& use) {
  QueueFacts facts;
  facts.device = config.device.text;
  facts.driver = info.driver_name;
  facts.max_rx_queues = info.max_rx_queues;
  facts.max_tx_queues = info.max_tx_queues;
  facts.has_rss = (info.flow_type_rss_offloads & kWantedRss) != 0;
  facts.machine_vendor = MachineVendor();
  ASSIGN_OR_RETURN(SpreadPlan plan,
                   PlanSpread(config.spread, facts, use.worker_count, use.receiver()));
  return QueueSet(std::move(plan), use, IsLacpBond(info));
}

Status QueueSet::Share(const PortConfig& config, uint16_t port_id) {
  port_id_ = port_id;
  if (plan_.by == SpreadBy::kSoftware) {
    ASSIGN_OR_RETURN(spreader_, Spreader::Create(use_.port_index, use_.receiver(),
                                                 use_.worker_count, rte_rand()));
  }
  if (plan_.tx_queues < use_.worker_count) tx_locks_ = std::make_unique<TxLock[]>(plan_.tx_queues);
  spdlog::log(plan_.leaves_workers_idle ? spdlog::level::warn : spdlog::level::info, "port {}: {}",
              config.name, plan_.sentence);
  return {};
}

PortQueues QueueSet::ForWorkers() const {
  PortQueues queues;
  queues.port_id = port_id_;
  queues.is_receive_queue_each = plan_.rx_queues == use_.worker_count;
  queues.receiver = use_.receiver();
  queues.spreader = spreader_.get();
  queues.tx_queue_count = plan_.tx_queues;
  queues.tx_locks = tx_locks_.get();
  queues.needs_tx_polls = needs_tx_polls_;
  return queues;
}

}  // namespace fairlead
