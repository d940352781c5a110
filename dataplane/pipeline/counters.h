// A worker's counters: written by that worker alone, read by the management thread at any time.
//
// Plain memory: an increment is a load, an add and a store (no locked instruction); the relaxed
// atomics only keep a reader on another core from seeing half a number.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "lib/base/result.h"
#include "lib/link/stats.h"

namespace fairlead {

// Owner thread only.
inline void Add(uint64_t* counter, uint64_t n) {
  const std::atomic_ref<uint64_t> cell(*counter);
  cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
// Any thread.
inline uint64_t ReadCounter(const uint64_t& counter) {
  // atomic_ref of a const object comes with C++26; nothing is written here.
  return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(counter)).load(std::memory_order_relaxed);
}

struct BackendCounters {
  uint64_t packets = 0;    // forwarded
  uint64_t bytes = 0;      // of IP packets, headers included
  uint64_t new_flows = 0;  // SYNs, and flows without one, that were not the backend's before
  uint64_t reserved = 0;
};
static_assert(sizeof(BackendCounters) == 32);

struct ServiceCounters {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint64_t drops = 0;  // after the service was known
  uint64_t reserved = 0;
};
static_assert(sizeof(ServiceCounters) == 32);

// Capacity of the per-backend and per-service arrays, in counter slots (CounterSlots). More than a
// snapshot may hold, since ids of the new generation take their slots before the old ones give
// theirs back.
inline constexpr uint32_t kBackendCounterSlots = 1U << 21;
inline constexpr uint32_t kServiceCounterSlots = 1U << 17;

// Arrays indexed by counter slot: address space reserved at once, pages touched when first counted
// in.
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
  uint64_t evicted = 0;    // live records that had to make room
  uint64_t untracked = 0;  // packets whose record could not be stored

  BackendCounters& backend(uint32_t slot) { return backends_[slot]; }
  const BackendCounters& backend(uint32_t slot) const { return backends_[slot]; }
  ServiceCounters& service(uint32_t slot) { return services_[slot]; }
  const ServiceCounters& service(uint32_t slot) const { return services_[slot]; }

 private:
  WorkerCounters(BackendCounters* backends, ServiceCounters* services)
      : backends_(backends), services_(services) {}

  BackendCounters* backends_;
  ServiceCounters* services_;
};

// `sum` += `worker`, read with relaxed loads.
void Accumulate(const PacketTotals& worker, PacketTotals* sum);

}  // namespace fairlead
