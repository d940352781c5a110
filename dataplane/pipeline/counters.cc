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
constexpr size_t kHandshakeBytes = size_t{kMaxBackendCounters} * sizeof(HandshakeCounters);

// Reserves zeroed pages. The kernel allocates each page at its first write.
void* Reserve(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

void Release(void* memory, size_t bytes) {
  if (memory != nullptr) munmap(memory, bytes);
}

}  // namespace

Result<WorkerCounters> WorkerCounters::Create() {
  // The destructor releases what was reserved.
  WorkerCounters counters(static_cast<BackendCounters*>(Reserve(kBackendBytes)),
                          static_cast<ServiceCounters*>(Reserve(kServiceBytes)),
                          static_cast<HandshakeCounters*>(Reserve(kHandshakeBytes)));
  const int error = errno;
  if (counters.backends_ == nullptr || counters.services_ == nullptr ||
      counters.handshakes_ == nullptr) {
    return ResourceExhausted(
        "cannot reserve " + std::to_string(kBackendBytes + kServiceBytes + kHandshakeBytes) +
        " bytes of address space for a worker's counters: " + std::strerror(error));
  }
  return counters;
}

WorkerCounters::WorkerCounters(WorkerCounters&& other) noexcept
    : totals(other.totals),
      new_flows(other.new_flows),
      old_flows(other.old_flows),
      evicted(other.evicted),
      untracked(other.untracked),
      backends_(std::exchange(other.backends_, nullptr)),
      services_(std::exchange(other.services_, nullptr)),
      handshakes_(std::exchange(other.handshakes_, nullptr)) {}

WorkerCounters::~WorkerCounters() {
  Release(backends_, kBackendBytes);
  Release(services_, kServiceBytes);
  Release(handshakes_, kHandshakeBytes);
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
