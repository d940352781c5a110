// A worker: one lcore that receives, judges and sends, burst by burst, until it is told to stop.
#pragma once

#include <rte_mbuf.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/config/config.h"
#include "dataplane/pipeline/pipeline.h"
#include "dataplane/worker/activity.h"
#include "dataplane/worker/buffers.h"
#include "dataplane/worker/clock.h"
#include "dataplane/worker/kernel_path.h"
#include "dataplane/worker/outgoing.h"
#include "dataplane/worker/rcu.h"

namespace fairlead {

// What all workers share, owned by main; outlives them.
struct WorkerShared {
  std::atomic<const ForwardingTables*> tables{nullptr};  // published by the management thread
  std::atomic<bool> stop{false};
  FlowTable* flows = nullptr;
  FragmentMap* fragments = nullptr;
  rte_mempool* pool = nullptr;  // of what workers make themselves
  std::vector<PortView> ports;
  std::vector<uint16_t> port_ids;        // DPDK's, by port index
  std::vector<KernelPort> kernel_ports;  // by port index
  RcuState* rcu = nullptr;
  Outgoing* outgoing = nullptr;  // the first worker sends what is in it; may be null
  IdleMode idle = IdleMode::kAdaptive;
  uint32_t replies_per_second = 1000;
  uint32_t icmp_errors_per_second = 1000;
  uint32_t resets_per_second = 1000;
  Clock clock;
};

class alignas(64) Worker {
 public:
  static Result<std::unique_ptr<Worker>> Create(uint32_t index, WorkerShared* shared);

  // The loop; returns after shared->stop.
  void Run();

  // Any thread.
  const WorkerCounters& counters() const { return counters_; }
  const KernelPath& kernel_path() const { return kernel_path_; }
  const Activity& activity() const { return activity_; }

  // Management thread, when no worker uses the slot (after a grace period).
  WorkerCounters& mutable_counters() { return counters_; }

 private:
  // Packets on their way to one port.
  struct Outbox {
    uint32_t count = 0;
    rte_mbuf* buffers[kMaxBurst] = {};
    uint32_t services[kMaxBurst] = {};
  };

  Worker(uint32_t index, WorkerShared* shared, WorkerCounters counters);

  // One look at every port's queue; the number of packets found.
  uint32_t PollOnce(uint64_t now_tsc);
  // Hands every packet of the burst to where its verdict says, and what was made of it to its port.
  void Dispatch();
  void Enqueue(uint16_t port_index, rte_mbuf* buffer, uint32_t service);
  // Fragments that wait no longer; with `all`, whatever waits.
  void ReleaseHeld(bool all);
  void ReadClock(uint64_t now_tsc);
  void SendOutgoing();
  void Flush(uint32_t port_index);

  uint32_t index_;
  WorkerShared* shared_;
  WorkerCounters counters_;
  MbufSource buffers_;
  FragmentStore fragments_;
  PipelineContext context_;
  Burst burst_;
  std::vector<Outbox> outboxes_;  // by port index
  KernelPath kernel_path_;
  Activity activity_;
};

}  // namespace fairlead
