// The candidate list of second chance. It is GUE private data that names the backends to which a
// backend should forward a packet that none of its sockets knows. docs/second-chance.md describes
// the format and how the agent uses it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "lib/base/check.h"
#include "lib/base/endian.h"
#include "lib/net/address.h"

namespace fairlead {

inline constexpr uint32_t kCandidateHeaderBytes = 8;
// Six, since slots that change often have many owners (bench/pcc, lost-rehash). Over IPv6 the
// headroom of a packet limits the number.
inline constexpr uint32_t kMaxCandidatesV4 = 6;
inline constexpr uint32_t kMaxCandidatesV6 = 4;

constexpr uint32_t MaxCandidates(Family outer) {
  return outer == Family::kIpv4 ? kMaxCandidatesV4 : kMaxCandidatesV6;
}
constexpr uint32_t CandidateBytes(Family outer) { return outer == Family::kIpv4 ? 4 : 16; }
// The bytes that the path MTU of a service with second chance reserves. A packet that fits then
// fits with any list.
constexpr uint32_t MaxCandidateBytes(Family outer) {
  return kCandidateHeaderBytes + MaxCandidates(outer) * CandidateBytes(outer);
}

// The list of one packet, on the stack.
class CandidateList {
 public:
  // `generation`: the generation of the tables that the balancer forwards by.
  CandidateList(Family outer, uint32_t generation) : outer_(outer) {
    bytes_[0] = 0xfa;
    const Be32 order = Be32::FromHost(generation);
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
static_assert(MaxCandidateBytes(Family::kIpv4) <= MaxCandidateBytes(Family::kIpv6));

}  // namespace fairlead
