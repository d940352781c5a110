// Exact-match lookup of a packet's destination: address, protocol, port -> service. Built once per
// snapshot, immutable, read by all workers.
//
// Open addressing, linear probing, 32-byte entries, at most half full. Each address also has an
// entry of its own kind, so that "is this address a frontend's?" is another lookup in the same
// table. The entry with port 0 of an address and protocol contains the any-port frontend's service
// and the ranges, if there are any.
//
// Inline, since each packet makes two or three lookups (source, destination, any port), which
// nearly always end at the first entry.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "lib/base/endian.h"
#include "lib/net/flow_key.h"
#include "lib/snapshot/format.h"
#include "lib/table/port_segments.h"

namespace fairlead {

inline constexpr uint32_t kNoService = 0xffffffff;

class FrontendTable {
 public:
  // REQUIRES that frontends of one address and protocol are adjacent, as in a snapshot.
  explicit FrontendTable(std::span<const FrontendRecord> frontends);

  // The service for this destination: exact port first, then the narrowest range, then the any-port
  // frontend; kNoService if none, or if `port` is 0. `address`: 16 bytes, IPv4 in the first four
  // and the rest zero. `port` in host order.
  uint32_t Find(const uint8_t* address, Family family, uint8_t protocol, uint16_t port) const {
    const Words words = Load(address);
    return FindWords(words, MetaOf(family, protocol, Be16::FromHost(port).raw()));
  }

  // The same for the destination half of a parsed key (the per-packet path).
  uint32_t FindDestination(const FlowKey& key) const {
    const uint64_t last = key.words[key.size_bytes / 8 - 1];
    return FindWords(DestinationOf(key), MetaOf(key.family(), static_cast<uint8_t>(last >> 32),
                                                static_cast<uint16_t>(last >> 16)));
  }

  // FindDestination for a sequence of packets. It remembers the last result, since the next packet
  // is mostly for the same frontend: then two or three words are compared, and nothing is hashed.
  // There is one class for each family, so that a loop over IPv4 keeps the cursor in registers.
  class Ipv4Cursor {
   public:
    explicit Ipv4Cursor(const FrontendTable& table) : table_(table) {}
    uint32_t FindDestination(const FlowKey& key) {
      const auto address = static_cast<uint32_t>(key.words[0] >> 32);
      const auto meta = static_cast<uint32_t>(key.words[1] >> 16);  // port and protocol
      if (address != address_ || meta != meta_) [[unlikely]] {
        address_ = address;
        meta_ = meta;
        service_ = table_.FindUncached(key);
      }
      return service_;
    }

   private:
    const FrontendTable& table_;
    uint32_t address_ = 0;
    uint32_t meta_ = ~uint32_t{0};  // matches no key
    uint32_t service_ = kNoService;
  };

  class Ipv6Cursor {
   public:
    explicit Ipv6Cursor(const FrontendTable& table) : table_(table) {}
    uint32_t FindDestination(const FlowKey& key) {
      const uint64_t meta = key.words[4] >> 16;
      if (key.words[2] != address_[0] || key.words[3] != address_[1] || meta != meta_) {
        address_[0] = key.words[2];
        address_[1] = key.words[3];
        meta_ = meta;
        service_ = table_.FindUncached(key);
      }
      return service_;
    }

   private:
    const FrontendTable& table_;
    uint64_t address_[2] = {0, 0};
    uint64_t meta_ = ~uint64_t{0};
    uint32_t service_ = kNoService;
  };

  // True if some frontend, of any protocol and port, has this address.
  bool HasAddress(const uint8_t* address, Family family) const {
    return HasWords(Load(address), family);
  }
  // The same for the source of a parsed key.
  bool HasSource(const FlowKey& key) const {
    return key.size_bytes == 16 ? HasIpv4Source(key)
                                : InFilter({key.words[0], key.words[1]}) && ProbeSource(key);
  }
  // The same for a key known to be IPv4.
  bool HasIpv4Source(const FlowKey& key) const {
    // The second word is the constant 0, which removes one multiplication of FilterBit.
    return InFilter({key.words[0] & 0xffffffff, 0}) && ProbeSource(key);
  }
  bool HasDestination(const FlowKey& key) const {
    return HasWords(DestinationOf(key), key.family());
  }

 private:
  struct Words {  // an address as two little-endian numbers
    uint64_t a0;
    uint64_t a1;
  };
  struct Entry {
    uint64_t address[2] = {0, 0};
    uint64_t meta = 0;  // port (wire order) | protocol << 16 | family << 24 | kind; 0 = free
    uint32_t service_index = kNoService;
    uint32_t ranges = PortSegments::kNone;  // of an entry with port 0: its group in ranges_
  };
  static_assert(sizeof(Entry) == 32);

  static constexpr uint64_t kPortMask = 0xffff;
  static constexpr uint64_t kKindAddress = uint64_t{1} << 32;  // the entry of an address

  static uint64_t MetaOf(Family family, uint8_t protocol, uint16_t raw_port) {
    return uint64_t{raw_port} | uint64_t{protocol} << 16 |
           uint64_t{static_cast<uint8_t>(family)} << 24;
  }
  static Words Load(const uint8_t* address) {
    Words words;
    std::memcpy(&words, address, sizeof(words));
    return words;
  }
  static Words SourceOf(const FlowKey& key) {
    return key.size_bytes == 16 ? Words{key.words[0] & 0xffffffff, 0}
                                : Words{key.words[0], key.words[1]};
  }
  static Words DestinationOf(const FlowKey& key) {
    return key.size_bytes == 16 ? Words{key.words[0] >> 32, 0} : Words{key.words[2], key.words[3]};
  }

  uint64_t HomeOf(const Words& words, uint64_t meta) const;
  // The entry, or the free entry where it would be.
  const Entry& Probe(const Words& words, uint64_t meta) const;
  uint32_t FindWords(const Words& words, uint64_t meta) const;
  // The service of a range or an any-port frontend, for a port without an exact entry.
  [[gnu::noinline]] uint32_t FindWide(const Words& words, uint64_t meta) const;
  Entry* Place(const Words& words, uint64_t meta);
  void AddRanges(std::span<const FrontendRecord> frontends);
  // Not inlined: a loop with their code would keep nothing in registers.
  [[gnu::noinline]] uint32_t FindUncached(const FlowKey& key) const { return FindDestination(key); }
  [[gnu::noinline]] bool ProbeSource(const FlowKey& key) const {
    return HasWords(SourceOf(key), key.family());
  }
  bool HasWords(const Words& words, Family family) const {
    if (!InFilter(words)) return false;
    return Probe(words, kKindAddress | MetaOf(family, 0, 0)).meta != 0;
  }
  uint64_t FilterBit(const Words& words) const {
    return (words.a0 * 0x6a09e667f3bcc909 + words.a1 * 0xbb67ae8584caa73b) >> filter_shift_;
  }
  bool InFilter(const Words& words) const {
    const uint64_t bit = FilterBit(words);
    return (filter_[bit / 64] >> (bit % 64) & 1) != 0;
  }
  std::vector<Entry> entries_;  // 2^n
  uint64_t mask_ = 0;
  // A bit for each address (some other addresses share a bit). Every packet's source is looked up,
  // and is hardly ever a frontend's. In a small, half-full table such a lookup takes a number of
  // steps that the branch predictor cannot predict. With the filter it is one branch that it can
  // predict. 2026-11, bench/pipeline.cc v4/none/flows:1024000/backends:100/hot: 113 -> 88 cycles a
  // packet.
  std::vector<uint64_t> filter_;
  int filter_shift_ = 0;   // 64 - log2 of the filter's bits
  bool any_wide_ = false;  // some frontend has port 0 or a range
  PortSegments ranges_;
};

// Three independent multiplications, then one that folds high bits down. The multipliers are odd
// and without pattern: the fractional parts of the square roots of 2, 3, 5 and 7.
inline uint64_t FrontendTable::HomeOf(const Words& words, uint64_t meta) const {
  uint64_t hash =
      words.a0 * 0x6a09e667f3bcc909 + words.a1 * 0xbb67ae8584caa73b + meta * 0x3c6ef372fe94f82b;
  hash = (hash ^ (hash >> 32)) * 0xa54ff53a5f1d36f1;
  return (hash >> 32) & mask_;
}

inline const FrontendTable::Entry& FrontendTable::Probe(const Words& words, uint64_t meta) const {
  for (uint64_t i = HomeOf(words, meta);; i = (i + 1) & mask_) {
    const Entry& entry = entries_[i];
    if (entry.meta == 0) return entry;
    if (entry.meta == meta && entry.address[0] == words.a0 && entry.address[1] == words.a1) {
      return entry;
    }
  }
}

inline uint32_t FrontendTable::FindWords(const Words& words, uint64_t meta) const {
  if ((meta & kPortMask) == 0) return kNoService;
  const Entry& exact = Probe(words, meta);
  if (exact.meta != 0 || !any_wide_) return exact.service_index;
  return FindWide(words, meta);
}

}  // namespace fairlead
