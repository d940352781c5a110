// A worker: one lcore that receives, processes and sends packets until `stop` is set.
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
#include "dataplane/worker/kernel_path.h"
#include "dataplane/worker/management_frames.h"
#include "dataplane/worker/port_queues.h"
#include "dataplane/worker/rcu.h"
#include "dataplane/worker/spreader.h"
#include "dataplane/worker/tsc_clock.h"

namespace fairlead {

// Shared by all workers. main owns it, and it outlives them.
struct WorkerShared {
  std::atomic<const ForwardingTables*> tables{nullptr};  // published by the management thread
  std::atomic<bool> stop{false};
  FlowTable* flows = nullptr;
  FragmentMap* fragments = nullptr;
  rte_mempool* pool = nullptr;  // for made frames, and those from the kernel
  std::vector<PortView> ports;
  std::vector<PortQueues> queues;         // by port index
  std::vector<const TapInterface*> taps;  // by port index; null: the port has none
  RcuState* rcu = nullptr;
  ManagementFrames* management_frames = nullptr;  // the first worker sends its frames; may be null
  IdleMode idle = IdleMode::kAdaptive;
  uint32_t replies_per_second = 1000;
  uint32_t icmp_errors_per_second = 1000;
  uint32_t resets_per_second = 1000;
  TscClock clock;
};

class alignas(64) Worker {
 public:
  static Result<std::unique_ptr<Worker>> Create(uint32_t index, WorkerShared* shared);

  // Runs the loop until shared->stop is set.
  void Run();

  // Any thread.
  const WorkerCounters& counters() const { return counters_; }
  const KernelPath& kernel_path() const { return kernel_path_; }
  const Activity& activity() const { return activity_; }

  // Management thread, for counters that no worker uses any more (after a grace period).
  WorkerCounters& mutable_counters() { return counters_; }

 private:
  // Where this worker's packets of one port come from: a queue, or another worker that polls it.
  struct Inlet {
    uint16_t port_index;
    uint16_t port_id;  // DPDK's
    uint16_t queue;
    Spreader* from = nullptr;  // takes packets from it; null: polls the queue
    Spreader* to = nullptr;    // passes packets on to other workers; null: keeps all
  };
  // Packets to send on one port.
  struct Outbox {
    TxQueue queue;
    uint32_t count = 0;
    rte_mbuf* buffers[kMaxBurst] = {};
    uint32_t services[kMaxBurst] = {};
  };

  Worker(uint32_t index, WorkerShared* shared, WorkerCounters counters);

  // Polls every inlet, and the TAPs, once. Returns the number of packets found.
  uint32_t ServePorts(uint64_t now_tsc);
  uint32_t Receive(const Inlet& inlet, rte_mbuf** buffers);
  // Passes every packet of the burst on by its verdict, and sends the made frames.
  void Dispatch();
  void Enqueue(uint16_t port_index, rte_mbuf* buffer, uint32_t service);
  // Processes fragments that no longer wait; with `all`, every waiting fragment.
  void ReleaseHeld(bool all);
  void SetContextTime(uint64_t now_tsc);
  void SendManagementFrames();
  // What is due 50 times a second, also without packets.
  void RunTimers(uint64_t now_tsc);
  void Flush(uint32_t port_index);

  uint32_t index_;
  WorkerShared* shared_;
  WorkerCounters counters_;
  MbufSource buffers_;
  FragmentStore fragments_;
  HandshakeTable handshakes_;
  PipelineContext context_;
  Burst burst_;
  std::vector<Inlet> inlets_;
  std::vector<Outbox> outboxes_;  // by port index
  std::vector<TxQueue> polled_;   // queues that need TxQueue::Poll of this worker
  uint64_t next_timers_tsc_ = 0;
  KernelPath kernel_path_;
  Activity activity_;
};

}  // namespace fairlead
