// How the workers share the queues of a port. Each worker has its own queue pair where the device
// spreads the packets. Else one worker receives, and passes packets on through a Spreader or keeps
// them all. Where the device has fewer transmit queues than there are workers, workers share them.
#pragma once

#include <rte_ethdev.h>
#include <rte_spinlock.h>

#include <cstdint>

namespace fairlead {

class Spreader;

// Protects a transmit queue that several workers use. A worker holds it while the driver takes a
// burst, which is shorter than any way around the lock: handing the frames to another worker takes
// as many cache misses, and delays them until its next poll.
struct alignas(64) TxLock {
  rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;
};

// One worker's way to send on a port.
class TxQueue {
 public:
  // `lock` is null if no other worker uses the queue; it must outlive this.
  TxQueue(uint16_t port_id, uint16_t queue, TxLock* lock)
      : port_id_(port_id), queue_(queue), lock_(lock) {}

  // Sends as many buffers as the device takes, in order, and returns their number. The caller still
  // owns the rest.
  uint32_t Send(rte_mbuf** buffers, uint32_t count) {
    if (lock_ == nullptr) [[likely]]
      return SendUnlocked(buffers, count);
    rte_spinlock_lock(&lock_->lock);
    const uint32_t sent = SendUnlocked(buffers, count);
    rte_spinlock_unlock(&lock_->lock);
    return sent;
  }

  // Calls the driver without a packet, so that it sends frames of its own.
  void Poll() { Send(nullptr, 0); }

 private:
  uint32_t SendUnlocked(rte_mbuf** buffers, uint32_t count) const {
    uint32_t sent = 0;
    uint16_t taken = 0;
    do {
      taken =
          rte_eth_tx_burst(port_id_, queue_, buffers + sent, static_cast<uint16_t>(count - sent));
      sent += taken;
    } while (taken != 0 && sent < count);
    return sent;
  }

  uint16_t port_id_;
  uint16_t queue_;
  TxLock* lock_;
};

// The queues of one port. The pointers are the port's, which outlives the workers.
struct PortQueues {
  uint16_t port_id = 0;               // DPDK's
  bool is_receive_queue_each = true;  // of each worker; else only `receiver` polls a queue
  uint32_t receiver = 0;
  Spreader* spreader = nullptr;  // through which the receiver passes packets on; null: it does not
  uint32_t tx_queue_count = 1;
  TxLock* tx_locks = nullptr;  // by queue; null: each worker has its own queue
  // `receiver` calls TxQueue::Poll, however little there is to send (dataplane/port/lacp_bond.h).
  bool needs_tx_polls = false;

  TxQueue TxQueueOf(uint32_t worker) const {
    const uint32_t queue = worker % tx_queue_count;
    return {port_id, static_cast<uint16_t>(queue),
            tx_locks == nullptr ? nullptr : tx_locks + queue};
  }
};

}  // namespace fairlead
