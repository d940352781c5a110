#include "dataplane/pipeline/counters.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <sys/mman.h>

namespace fairlead {
namespace {

constexpr size_t kBackendBytes = size_t{kMaxBackendCounters} * sizeof(BackendCounters);
constexpr size_t kServiceBytes = size_t{kMaxServiceCounters} * sizeof(ServiceCounters);

// Reserves zeroed pages. The kernel allocates each page at its first write.
void* Reserve(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

Result<WorkerCounters> WorkerCounters::Create() {
  void* backends = Reserve(kBackendBytes);
  void* services = Reserve(kServiceBytes);
  if (backends == nullptr || services == nullptr) {
    const int error = errno;
    if (backends != nullptr) munmap(backends, kBackendBytes);
    if (services != nullptr) munmap(services, kServiceBytes);
    return ResourceExhausted(
        "cannot reserve " + std::to_string(kBackendBytes + kServiceBytes) +
        " bytes of address space for a worker's counters: " + std::strerror(error));
  }
  return WorkerCounters(static_cast<BackendCounters*>(backends),
                        static_cast<ServiceCounters*>(services));
}

WorkerCounters::WorkerCounters(WorkerCounters&& other) noexcept
    : totals(other.totals),
      new_flows(other.new_flows),
      old_flows(other.old_flows),
      evicted(other.evicted),
      untracked(other.untracked),
      backends_(std::exchange(other.backends_, nullptr)),
      services_(std::exchange(other.services_, nullptr)) {}

WorkerCounters::~WorkerCounters() {
  if (backends_ != nullptr) munmap(backends_, kBackendBytes);
  if (services_ != nullptr) munmap(services_, kServiceBytes);
}

void Accumulate(const PacketTotals& worker, PacketTotals* sum) {
  sum->rx_packets += ReadCounter(worker.rx_packets);
  sum->rx_bytes += ReadCounter(worker.rx_bytes);
  sum->tx_packets += ReadCounter(worker.tx_packets);
  sum->tx_bytes += ReadCounter(worker.tx_bytes);
  sum->generated += ReadCounter(worker.generated);
  sum->to_kernel += ReadCounter(worker.to_kernel);
  for (size_t reason = 0; reason < kDropReasonCount; ++reason) {
    sum->drops[reason] += ReadCounter(worker.drops[reason]);
  }
}

}  // namespace fairlead
