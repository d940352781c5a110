// Plans and owns the queues of a port: asks the device what it can, and prepares what the workers
// need to share its queues. Main thread.
#pragma once

#include <rte_ethdev.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/config/config.h"
#include "dataplane/worker/port_queues.h"
#include "dataplane/worker/spreader.h"

namespace fairlead {

// Flows are spread by these fields, as far as the NIC can.
inline constexpr uint64_t kWantedRss = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

// The workers of a process, for the queues of one port.
struct QueueUse {
  uint32_t port_index;
  uint32_t worker_count;

  // The worker that polls the port if only one does. Ports have different ones, as far as possible.
  uint32_t receiver() const { return port_index % worker_count; }
};

// The number of queues to ask for when the device of the port is created.
uint32_t QueuesToCreate(const PortConfig& config, uint32_t worker_count);

class QueueSet {
 public:
  // Plans the queues of the device that `info` describes. Errors do not name the port.
  static Result<QueueSet> Plan(const PortConfig& config, const rte_eth_dev_info& info,
                               const QueueUse& use);

  // Prepares the sharing of queues, and logs how the port's packets are spread. `port_id`: DPDK's.
  Status Share(const PortConfig& config, uint16_t port_id);

  const SpreadPlan& plan() const { return plan_; }
  uint32_t receiver() const { return use_.receiver(); }
  // For the workers, which must end before this.
  PortQueues ForWorkers() const;

 private:
  QueueSet(SpreadPlan plan, const QueueUse& use, bool needs_tx_polls)
      : plan_(std::move(plan)), use_(use), needs_tx_polls_(needs_tx_polls) {}

  SpreadPlan plan_;
  QueueUse use_;
  bool needs_tx_polls_;
  uint16_t port_id_ = 0;
  std::unique_ptr<Spreader> spreader_;
  std::unique_ptr<TxLock[]> tx_locks_;  // by queue; null: no queue is shared
};

}  // namespace fairlead
