// The second chance's list of candidates: GUE private data that tells a backend whom to send a packet
// on to which no socket of its own knows. docs/second-chance.md has the format and what the agent
// makes of it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "lib/base/check.h"
#include "lib/base/endian.h"
#include "lib/net/address.h"

namespace fairlead {

inline constexpr uint32_t kCandidateHeaderBytes = 8;
// Six, since slots that change often have many owners (bench/pcc, lost-rehash); over IPv6 no more
// than the room in front of a packet allows.
inline constexpr uint32_t kMaxCandidatesV4 = 6;
inline constexpr uint32_t kMaxCandidatesV6 = 4;

constexpr uint32_t MaxCandidates(Family outer) {
  return outer == Family::kIpv4 ? kMaxCandidatesV4 : kMaxCandidatesV6;
}
constexpr uint32_t CandidateBytes(Family outer) { return outer == Family::kIpv4 ? 4 : 16; }
// What path MTU answers of a service with second chance reserve, so that a packet that passes does so
// with any list.
constexpr uint32_t CandidateRoom(Family outer) {
  return kCandidateHeaderBytes + MaxCandidates(outer) * CandidateBytes(outer);
}

// One packet's, on the stack.
class CandidateList {
 public:
  // `epoch`: of the tables that the balancer forwards by.
  CandidateList(Family outer, uint32_t epoch) : outer_(outer) {
    bytes_[0] = 0xfa;
    const Be32 order = Be32::FromHost(epoch);
    std::memcpy(bytes_ + 4, &order, sizeof(order));
  }

  bool full() const { return count_ == MaxCandidates(outer_); }
  // `address`: as BackendEntry::address, of the outer family. REQUIRES !full().
  void Add(const uint8_t* address) {
    DCHECK(!full());
    std::memcpy(bytes_ + kCandidateHeaderBytes + count_ * CandidateBytes(outer_), address,
                CandidateBytes(outer_));
    ++count_;
    constexpr uint8_t kVersion = 1;
    bytes_[1] = static_cast<uint8_t>(kVersion << 4 | (outer_ == Family::kIpv6 ? 8U : 0U) | count_);
  }

  // Empty without candidates.
  std::span<const uint8_t> data() const {
    if (count_ == 0) return {};
    return {bytes_, kCandidateHeaderBytes + count_ * CandidateBytes(outer_)};
  }

 private:
  Family outer_;
  uint32_t count_ = 0;
  uint8_t bytes_[kCandidateHeaderBytes + kMaxCandidatesV6 * 16] = {};
};
static_assert(CandidateRoom(Family::kIpv4) <= CandidateRoom(Family::kIpv6));

}  // namespace fairlead
