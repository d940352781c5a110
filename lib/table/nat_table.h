// Replies through nat: (backend address, protocol, source port) -> frontend, the address that the
// client knows. It is a function of the packet and of this table, so any worker of any balancer can
// translate a reply.
//
// Built once per snapshot, immutable, read by all workers. Open addressing, linear probing, at most
// half full. An exact row has priority over a port range, and a range over an any-port frontend.
// The latter two keep the reply's port. The entry with port 0 of an address and protocol has the
// ranges.
//
// Worked row: service web, 203.0.113.10:80/tcp -> 10.0.0.11:8080:
//   (10.0.0.11, 6, 8080) -> 203.0.113.10, 80, service index, backend index
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/encap/nat.h"
#include "lib/net/flow_key.h"
#include "lib/snapshot/view.h"
#include "lib/table/port_segments.h"

namespace fairlead {

struct NatRow {
  NatEndpoint frontend;  // port 0: the reply keeps its port
  uint32_t service_index = 0;
  uint32_t backend_index = 0;
};

// The families whose replies are translated: [0] IPv4, [1] IPv6.
using NatFamilies = std::array<bool, 2>;

class NatTable {
 public:
  NatTable() = default;
  // Fails with kInvalidArgument if an (address, protocol, port) would belong to two frontends,
  // families differ, or an any-port or range frontend has a backend with a port. fairleadd checks
  // these rules too (lib/intent/nat_rules.h), but an image may come from elsewhere.
  static Result<NatTable> Build(const SnapshotView& snapshot, NatFamilies families = {true, true});

  bool empty() const { return rows_.empty(); }

  // The row for a packet's source; null if the packet is not a reply. `key`: as ParseFrame fills
  // it.
  const NatRow* FindSource(const FlowKey& key) const {
    if (rows_.empty()) return nullptr;
    const uint64_t last = key.words[key.size_bytes / 8 - 1];
    return Find(SourceOf(key), key.family(), static_cast<uint8_t>(last >> 32),
                static_cast<uint16_t>(last));
  }
  // The same with protocol and port (host order) given separately: for later fragments, whose key
  // has no ports.
  const NatRow* FindSource(const FlowKey& key, uint8_t protocol, uint16_t port) const {
    if (rows_.empty()) return nullptr;
    return Find(SourceOf(key), key.family(), protocol, __builtin_bswap16(port));
  }
  // True if some row has the source's address.
  bool HasSource(const FlowKey& key) const {
    return !rows_.empty() && Probe(SourceOf(key), AddressMeta(key.family())).meta != 0;
  }

 private:
  static constexpr uint32_t kNoRow = PortSegments::kNone;

  struct Words {
    uint64_t a0;
    uint64_t a1;
    friend auto operator<=>(const Words&, const Words&) = default;
  };
  struct Entry {
    uint64_t address[2] = {0, 0};
    uint64_t meta = 0;      // port (wire order) | protocol << 16 | family << 24; 0 = free
    uint32_t row = kNoRow;  // kNoRow in an entry with port 0 that only has ranges
    uint32_t ranges = PortSegments::kNone;  // in an entry with port 0: its group in ranges_
  };
  static_assert(sizeof(Entry) == 32);

  static Words SourceOf(const FlowKey& key) {
    return key.size_bytes == 16 ? Words{key.words[0] & 0xffffffff, 0}
                                : Words{key.words[0], key.words[1]};
  }
  static uint64_t MetaOf(Family family, uint8_t protocol, uint16_t raw_port) {
    return uint64_t{raw_port} | uint64_t{protocol} << 16 |
           uint64_t{static_cast<uint8_t>(family)} << 24;
  }
  static uint64_t AddressMeta(Family family) { return MetaOf(family, 0, 0); }

  const Entry& Probe(const Words& words, uint64_t meta) const {
    uint64_t hash =
        words.a0 * 0x6a09e667f3bcc909 + words.a1 * 0xbb67ae8584caa73b + meta * 0x3c6ef372fe94f82b;
    hash = (hash ^ (hash >> 32)) * 0xa54ff53a5f1d36f1;
    for (uint64_t i = (hash >> 32) & mask_;; i = (i + 1) & mask_) {
      const Entry& entry = entries_[i];
      if (entry.meta == 0) return entry;
      if (entry.meta == meta && entry.address[0] == words.a0 && entry.address[1] == words.a1) {
        return entry;
      }
    }
  }
  const NatRow* Find(const Words& words, Family family, uint8_t protocol, uint16_t raw_port) const {
    const Entry& exact = Probe(words, MetaOf(family, protocol, raw_port));
    if (exact.meta != 0) return &rows_[exact.row];
    return any_wide_ ? FindWide(words, MetaOf(family, protocol, 0), raw_port) : nullptr;
  }
  // The row of a range or an any-port frontend, for a port without an exact row.
  const NatRow* FindWide(const Words& words, uint64_t meta, uint16_t raw_port) const {
    const Entry& wide = Probe(words, meta);
    if (wide.meta == 0) return nullptr;
    uint32_t row = wide.row;
    if (wide.ranges != PortSegments::kNone) {
      const uint32_t of_range = ranges_.Find(wide.ranges, __builtin_bswap16(raw_port));
      if (of_range != PortSegments::kNone) row = of_range;
    }
    return row != kNoRow ? &rows_[row] : nullptr;
  }

  class Builder;
  std::vector<NatRow> rows_;
  std::vector<Entry> entries_;  // 2^n; one for each name, and one for each address
  uint64_t mask_ = 0;
  bool any_wide_ = false;  // some row belongs to an any-port frontend or a range
  PortSegments ranges_;    // values: rows
};

}  // namespace fairlead
