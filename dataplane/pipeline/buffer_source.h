// Buffers for what the pipeline makes itself (ICMP errors, the further pieces of a cut packet), and
// what it cannot know of the caller's own: segments, and packets that wait.
//
// The worker implements it over mbufs, tests over plain memory. Only rare packets get here, so these
// calls may be virtual. One per worker, used by it alone.
#pragma once

#include <cstdint>

namespace fairlead {

struct Burst;

// A frame that the pipeline made. Whoever runs ProcessBurst sends it and frees it.
struct MadeFrame {
  void* handle = nullptr;  // the caller's own (the mbuf)
  uint8_t* frame = nullptr;
  uint32_t length = 0;            // bytes, contiguous
  uint32_t service = 0xffffffff;  // whose packet it is a piece of, or kNoService
  uint16_t egress_port = 0;
};

class BufferSource {
 public:
  virtual ~BufferSource() = default;

  // An empty buffer with at least `headroom` bytes before `frame` and `capacity` from it on; sets
  // handle and frame. False when there is none.
  virtual bool Allocate(uint32_t headroom, uint32_t capacity, MadeFrame* out) = 0;
  // Gives back one that shall not be sent.
  virtual void Free(void* handle) = 0;

  // Copies what lies behind the contiguous bytes of a packet of several segments: `length` bytes,
  // `offset` bytes after the first segment's end. REQUIRES that they are there.
  virtual void CopyTail(void* handle, uint32_t offset, uint32_t length, uint8_t* out) const = 0;
  // Makes all of packet `i` contiguous and updates the burst. False, and nothing changed, when its
  // first buffer is too small.
  virtual bool Gather(Burst* burst, uint32_t i) = 0;

  // Packet `i` is going to wait. Returns what Resume takes: not 0, and good until then.
  virtual uint64_t Hold(const Burst& burst, uint32_t i) = 0;
  // Fills the caller's arrays of `burst` at `i` with the packet that waited, as it came in.
  virtual void Resume(uint64_t held, Burst* burst, uint32_t i) = 0;
};

}  // namespace fairlead
