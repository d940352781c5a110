// Cuts an IPv4 packet that is larger than the MTU and may be cut (no DF): RFC 791, 3.2.
//
// Theory of operation. The first piece has the complete header. The headers of all others contain
// only the options with the copied flag (RFC 791, 3.1: the type's top bit). Every piece but the
// last carries as many multiples of 8 bytes as fit. So a plan is a few numbers: piece(i) tells
// where the payload of piece i is, and WriteHeader(i) writes its header. The caller provides
// buffers and copies payload. The packet may itself be a fragment: offsets then continue from its
// own, and the last piece keeps its more-fragments flag.
//
// In dsr and nat the packet is rewritten before it is cut, so that addresses, TTL and L4 checksum
// are correct in every piece. For a tunnel it is cut first, to PathMtu (icmp_generate.h), and every
// piece is encapsulated with the same entropy. A wrong header checksum stays wrong, by the same
// amount, in every piece.
//
// Worked packet: 1,500 bytes (header 20), MTU 1000:
//   piece  payload bytes  offset field  flags  total length
//   0      0..975         0             MF     996
//   1      976..1479      122           -      524
//
// Pure functions of the bytes; any worker.
#pragma once

#include <cstdint>

#include "lib/counters/drop_reason.h"

namespace fairlead {

// More than any realistic MTU needs (a 64 KiB packet at an MTU of 1,280: 52 pieces).
inline constexpr uint32_t kMaxPieces = 64;
inline constexpr uint32_t kMaxIpv4HeaderBytes = 60;

struct FragmentPiece {
  uint32_t payload_begin = 0;   // bytes from the end of the packet's header
  uint32_t payload_length = 0;  // bytes
  uint32_t header_length = 0;   // bytes that WriteHeader writes, 20..60
};

class FragmentCut {
 public:
  // Plans how to cut the IPv4 packet at `ip`, whose header is contiguous and has been checked
  // (parse.h), into pieces of at most `mtu` bytes. Returns kNone, or too_big if DF is set, not even
  // 8 bytes of payload fit, or more than kMaxPieces would result. `ip` must outlive the plan and
  // not change. A packet that fits is one piece, unchanged.
  DropReason Plan(const uint8_t* ip, uint32_t mtu);

  uint32_t count() const { return count_; }
  FragmentPiece piece(uint32_t index) const;  // REQUIRES index < count()

  // Writes the piece's IPv4 header to `out` (piece(index).header_length bytes, not within `ip`).
  void WriteHeader(uint32_t index, uint8_t* out) const;

 private:
  const uint8_t* ip_ = nullptr;
  uint32_t count_ = 0;
  uint32_t header_length_ = 0;        // the packet's, and the first piece's
  uint32_t later_header_length_ = 0;  // the other pieces'
  uint32_t payload_length_ = 0;       // the packet's
  uint32_t first_payload_ = 0;        // bytes in piece 0
  uint32_t later_payload_ = 0;        // bytes in every other piece but the last
};

}  // namespace fairlead
