// A worker's counters. Only that worker writes them. The management thread reads them at any time.
//
// They are plain memory. An increment is a load, an add and a store, without a locked instruction.
// The relaxed atomics only prevent torn reads on another core.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "lib/base/result.h"
#include "lib/link/stats.h"

namespace fairlead {

// Only the worker whose counter it is.
inline void Add(uint64_t* counter, uint64_t n) {
  const std::atomic_ref<uint64_t> cell(*counter);
  cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
// Any thread.
inline uint64_t ReadCounter(const uint64_t& counter) {
  // atomic_ref of a const object needs C++26. This only reads.
  return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(counter)).load(std::memory_order_relaxed);
}

struct BackendCounters {
  uint64_t packets = 0;    // forwarded
  uint64_t bytes = 0;      // IP packets, including headers
  uint64_t new_flows = 0;  // flows new to the backend: SYNs, and first packets without a SYN
  uint64_t reserved = 0;
};
static_assert(sizeof(BackendCounters) == 32);

struct ServiceCounters {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t drops = 0;  // packets dropped after their service was known
  uint64_t reserved = 0;
};
static_assert(sizeof(ServiceCounters) == 32);

// Of handshakes that were followed (handshake_table.h). Separate from BackendCounters, which every
// packet touches.
struct HandshakeCounters {
  uint64_t sampled = 0;     // handshakes that ended, answered or not
  uint64_t unanswered = 0;  // of these
};

// Size of the per-backend and per-service arrays: the number of counter indexes. It exceeds a
// snapshot's limits: ids of a new generation get indexes before those of the old one are free.
inline constexpr uint32_t kMaxBackendCounters = 1U << 21;
inline constexpr uint32_t kMaxServiceCounters = 1U << 17;

// Arrays by counter index. The address space is reserved at once; a page is allocated when its
// first counter is written.
class WorkerCounters {
 public:
  static Result<WorkerCounters> Create();
  ~WorkerCounters();
  WorkerCounters(WorkerCounters&& other) noexcept;
  WorkerCounters& operator=(WorkerCounters&&) = delete;
  WorkerCounters(const WorkerCounters&) = delete;
  WorkerCounters& operator=(const WorkerCounters&) = delete;

  PacketTotals totals;
  uint64_t new_flows = 0;  // records stored for flows that are new to their backend
  uint64_t old_flows = 0;  // records stored for flows older than their slot's change
  uint64_t evicted = 0;    // live records that new records replaced
  uint64_t untracked = 0;  // packets whose record could not be stored

  BackendCounters& backend(uint32_t index) { return backends_[index]; }
  const BackendCounters& backend(uint32_t index) const { return backends_[index]; }
  HandshakeCounters& handshakes(uint32_t backend_index) { return handshakes_[backend_index]; }
  const HandshakeCounters& handshakes(uint32_t backend_index) const {
    return handshakes_[backend_index];
  }
  ServiceCounters& service(uint32_t index) { return services_[index]; }
  const ServiceCounters& service(uint32_t index) const { return services_[index]; }

 private:
  WorkerCounters(BackendCounters* backends, ServiceCounters* services,
                 HandshakeCounters* handshakes)
      : backends_(backends), services_(services), handshakes_(handshakes) {}

  BackendCounters* backends_;
  ServiceCounters* services_;
  HandshakeCounters* handshakes_;
};

// Adds `worker`, read with relaxed loads, to `sum`.
void Accumulate(const PacketTotals& worker, PacketTotals* sum);

}  // namespace fairlead
