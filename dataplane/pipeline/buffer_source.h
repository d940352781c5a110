// The pipeline's access to the caller's buffers: buffers for made frames (ICMP errors, the further
// pieces of a cut packet), packets of several segments, and packets that wait.
//
// The worker implements it with mbufs, tests with plain memory. Only rare packets need it, so the
// calls may be virtual. Each worker has its own.
#pragma once

#include <cstdint>

namespace fairlead {

struct Burst;

// A frame that the pipeline made. The caller of ProcessBurst sends it and frees it.
struct MadeFrame {
  void* handle = nullptr;  // the caller's handle (the mbuf)
  uint8_t* frame = nullptr;
  uint32_t length = 0;            // bytes, contiguous
  uint32_t service = 0xffffffff;  // if it is a piece of a service's packet, else kNoService
  uint16_t egress_port = 0;
};

class BufferSource {
 public:
  virtual ~BufferSource() = default;

  // Allocates an empty buffer with at least `headroom` bytes before `frame` and `capacity` bytes
  // from it on. Sets handle and frame. False if there is no buffer.
  virtual bool Allocate(uint32_t headroom, uint32_t capacity, MadeFrame* out) = 0;
  // Frees a buffer that will not be sent.
  virtual void Free(void* handle) = 0;

  // Copies `length` bytes from the further segments of a packet, starting `offset` bytes after the
  // end of its first segment. REQUIRES that the packet has these bytes.
  virtual void CopyTail(void* handle, uint32_t offset, uint32_t length, uint8_t* out) const = 0;
  // Makes all of packet `i` contiguous and updates the burst. False if its first buffer is too
  // small; nothing has changed then.
  virtual bool Gather(Burst* burst, uint32_t i) = 0;

  // Keeps packet `i` while it waits. Returns the argument for Resume, which is not 0 and is valid
  // until Resume.
  virtual uint64_t Hold(const Burst& burst, uint32_t i) = 0;
  // Fills the caller's arrays of `burst` at `i` with the packet that waited, as it was received.
  virtual void Resume(uint64_t held, Burst* burst, uint32_t i) = 0;
};

}  // namespace fairlead
