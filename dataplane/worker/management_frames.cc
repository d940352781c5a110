#include "dataplane/worker/management_frames.h"

#include <cstring>

namespace fairlead {
namespace {

// Probes of thousands of backends may start within a millisecond.
constexpr unsigned kRoom = 1024;

}  // namespace

Result<std::unique_ptr<ManagementFrames>> ManagementFrames::Create(rte_mempool* pool) {
  rte_ring* ring =
      rte_ring_create("fairlead_out", kRoom, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) return ResourceExhausted("cannot allocate the queue of announcements");
  return std::unique_ptr<ManagementFrames>(new ManagementFrames(pool, ring));
}

bool ManagementFrames::Put(uint16_t port_index, std::span<const uint8_t> frame) {
  rte_mbuf* buffer = rte_pktmbuf_alloc(pool_);
  if (buffer == nullptr) return false;
  char* data = rte_pktmbuf_append(buffer, static_cast<uint16_t>(frame.size()));
  if (data == nullptr) {
    rte_pktmbuf_free(buffer);
    return false;
  }
  std::memcpy(data, frame.data(), frame.size());
  buffer->port = port_index;
  if (rte_ring_sp_enqueue(ring_.get(), buffer) == 0) return true;
  rte_pktmbuf_free(buffer);
  return false;
}

void ManagementFrames::Clear() {
  rte_mbuf* buffer = nullptr;
  while (Take(&buffer, 1) != 0) rte_pktmbuf_free(buffer);
}

}  // namespace fairlead
