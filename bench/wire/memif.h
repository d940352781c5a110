// The server's end of a memif: shared memory with a peer (a DPDK program whose port is a memif
// client), reached through a Unix socket. Protocol version 2.0, as DPDK's and VPP's drivers speak
// it.
//
//   server                                   client (the device under test)
//   Listen
//                        <- connect
//   HELLO ->             <- INIT, ADD_REGION + fd, ADD_RING + fd ..., CONNECT
//   an ACK for each, CONNECTED ->
//
// A ring has 2^n ring descriptors. The client owns all buffers. Towards the server (S2M) the client
// fills buffers and moves `head`. The server returns them by `tail`. Towards the client (M2S) the
// client offers empty buffers by `head`. The server fills them and moves `tail`.
//
// Why not DPDK's memif port: here packets are written and read in place, without mbufs and copies.
// A generator that costs a fifth of a forwarder can find the forwarder's limit from one core.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace fairlead::bench {

struct MemifDescriptor {
  uint16_t flags;
  uint16_t region;
  uint32_t length;
  uint32_t offset;
  uint32_t metadata;
};
static_assert(sizeof(MemifDescriptor) == 16);

inline constexpr uint16_t kMemifChained = 1;  // MemifDescriptor::flags: another buffer follows

struct MemifRing {
  alignas(64) uint32_t cookie;
  uint16_t flags;
  std::atomic<uint16_t> head;
  alignas(64) std::atomic<uint16_t> tail;
  alignas(64) MemifDescriptor descriptors[1];  // 2^n
};

class Memif {
 public:
  // A packet in shared memory.
  struct Buffer {
    uint8_t* bytes;
    uint32_t length;
  };

  static Result<std::unique_ptr<Memif>> Listen(const std::string& path);
  ~Memif();
  Memif(const Memif&) = delete;
  Memif& operator=(const Memif&) = delete;

  // Waits for the client and does the handshake.
  Status Accept(int timeout_ms);

  // After Accept, one thread may send and one may receive.
  uint32_t send_queues() const { return static_cast<uint32_t>(to_client_.size()); }
  uint32_t receive_queues() const { return static_cast<uint32_t>(from_client_.size()); }

  // Packets that may be written now.
  uint32_t FreeSendEntries(uint32_t queue) const;
  // Prefetches the cache lines of the next `count` buffers (<= FreeSendEntries), which the client's core
  // has. So they arrive together instead of one after the other.
  void PrefetchSend(uint32_t queue, uint32_t count) const;
  // The i-th of these buffers (i < FreeSendEntries), to be filled with `length` bytes.
  uint8_t* SendBuffer(uint32_t queue, uint32_t i, uint32_t length);
  // Hands `count` filled buffers to the client.
  void Send(uint32_t queue, uint32_t count);

  // Packets that have arrived.
  uint32_t Received(uint32_t queue) const;
  void PrefetchReceived(uint32_t queue, uint32_t count) const;
  Buffer ReceivedBuffer(uint32_t queue, uint32_t i) const;
  void Release(uint32_t queue, uint32_t count);

 private:
  struct Region {
    uint8_t* bytes = nullptr;
    size_t size = 0;
  };
  struct Queue {
    MemifRing* ring = nullptr;
    uint16_t mask = 0;
    uint16_t region = 0;
    uint32_t offset = 0;
  };
  struct Message;

  explicit Memif(std::string path) : path_(std::move(path)) {}
  Status Handshake(int timeout_ms);
  Result<bool> Handle(const Message& message, int fd);
  Status AddRegion(const Message& message, int fd);
  Status AddRing(const Message& message);
  Status Connect();
  Status SendMessage(const Message& message) const;
  Status ReceiveMessage(Message* message, int* fd, int timeout_ms) const;

  std::string path_;
  int listener_ = -1;
  int socket_ = -1;
  std::vector<Region> regions_;
  std::vector<Queue> to_client_;
  std::vector<Queue> from_client_;
};

// ---- fast path

inline uint32_t Memif::FreeSendEntries(uint32_t queue) const {
  const MemifRing& ring = *to_client_[queue].ring;
  return static_cast<uint16_t>(ring.head.load(std::memory_order_acquire) -
                               ring.tail.load(std::memory_order_relaxed));
}

// gcc makes __builtin_prefetch a prefetch for writing only if -march includes PREFETCHW. After a
// prefetch for reading, the write would need a second transfer between the cores. CPUs without
// PREFETCHW execute it as a nop.
inline void PrefetchForWriting(const void* address) {
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
}

inline void Memif::PrefetchSend(uint32_t queue, uint32_t count) const {
  const Queue& to = to_client_[queue];
  const uint32_t tail = to.ring->tail.load(std::memory_order_relaxed);
  const MemifDescriptor* const descriptors = to.ring->descriptors;
  for (uint32_t i = 0; i < count; i += 4) PrefetchForWriting(&descriptors[(tail + i) & to.mask]);
  for (uint32_t i = 0; i < count; ++i) {
    const MemifDescriptor& descriptor = descriptors[(tail + i) & to.mask];
    PrefetchForWriting(regions_[descriptor.region].bytes + descriptor.offset);
  }
}

inline void Memif::PrefetchReceived(uint32_t queue, uint32_t count) const {
  for (uint32_t i = 0; i < count; ++i) __builtin_prefetch(ReceivedBuffer(queue, i).bytes);
}

inline uint8_t* Memif::SendBuffer(uint32_t queue, uint32_t i, uint32_t length) {
  const Queue& to = to_client_[queue];
  const uint32_t index = (to.ring->tail.load(std::memory_order_relaxed) + i) & to.mask;
  MemifDescriptor& descriptor = to.ring->descriptors[index];
  descriptor.flags = 0;
  descriptor.length = length;
  return regions_[descriptor.region].bytes + descriptor.offset;
}

inline void Memif::Send(uint32_t queue, uint32_t count) {
  std::atomic<uint16_t>& tail = to_client_[queue].ring->tail;
  tail.store(static_cast<uint16_t>(tail.load(std::memory_order_relaxed) + count),
             std::memory_order_release);
}

inline uint32_t Memif::Received(uint32_t queue) const {
  const MemifRing& ring = *from_client_[queue].ring;
  return static_cast<uint16_t>(ring.head.load(std::memory_order_acquire) -
                               ring.tail.load(std::memory_order_relaxed));
}

inline Memif::Buffer Memif::ReceivedBuffer(uint32_t queue, uint32_t i) const {
  const Queue& from = from_client_[queue];
  const uint32_t index = (from.ring->tail.load(std::memory_order_relaxed) + i) & from.mask;
  const MemifDescriptor& descriptor = from.ring->descriptors[index];
  return {regions_[descriptor.region].bytes + descriptor.offset, descriptor.length};
}

inline void Memif::Release(uint32_t queue, uint32_t count) {
  std::atomic<uint16_t>& tail = from_client_[queue].ring->tail;
  tail.store(static_cast<uint16_t>(tail.load(std::memory_order_relaxed) + count),
             std::memory_order_release);
}

}  // namespace fairlead::bench
