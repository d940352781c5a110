// Exact-match lookup of a packet's destination: address, protocol, port -> service. Built once per
// snapshot, immutable, read by all workers.
//
// Open addressing, linear probing, 32-byte entries, at most half full; addresses stand beside as
// entries of their own kind, so that "is this address a frontend's?" is one more lookup, not a
// second table.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/net/flow_key.h"
#include "lib/snapshot/format.h"

namespace fairlead {

inline constexpr uint32_t kNoService = 0xffffffff;

class FrontendTable {
 public:
  explicit FrontendTable(std::span<const FrontendRecord> frontends);

  // The service for this destination: exact port first, then the any-port frontend; kNoService if
  // neither. `address`: 16 bytes, IPv4 in the first four and the rest zero. `port` in host order.
  uint32_t Find(const uint8_t* address, Family family, uint8_t protocol, uint16_t port) const;

  // The same for the destination half of a parsed key (the per-packet path).
  uint32_t FindDestination(const FlowKey& key) const;

  // True when some frontend, of whatever protocol and port, has this address.
  bool HasAddress(const uint8_t* address, Family family) const;

 private:
  struct Entry {
    uint64_t address[2] = {0, 0};
    uint64_t meta = 0;  // port | protocol << 16 | family << 24 | kind bits; 0 = free
    uint32_t service_index = kNoService;
    uint32_t reserved = 0;
  };
  static_assert(sizeof(Entry) == 32);

  const Entry* Probe(uint64_t a0, uint64_t a1, uint64_t meta) const;
  void Add(uint64_t a0, uint64_t a1, uint64_t meta, uint32_t service_index);

  std::vector<Entry> entries_;  // 2^n
  uint64_t mask_ = 0;
};

}  // namespace fairlead
