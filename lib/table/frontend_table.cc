#include "lib/table/frontend_table.h"

#include <tuple>
#include <utility>

#include "lib/snapshot/view.h"

namespace fairlead {

FrontendTable::FrontendTable(std::span<const FrontendRecord> frontends) {
  // At most two entries for each frontend, in at most half of the table.
  entries_.resize(std::bit_ceil(frontends.size() * 4 + 2));
  mask_ = entries_.size() - 1;
  const uint64_t filter_bits = std::bit_ceil(frontends.size() * 64 + 1024);
  filter_.resize(filter_bits / 64);
  filter_shift_ = 64 - std::countr_zero(filter_bits);
  for (const FrontendRecord& record : frontends) {
    const Words words = Load(record.address);
    const auto family = static_cast<Family>(record.family);
    Place(words, kKindAddress | MetaOf(family, 0, 0));
    filter_[FilterBit(words) / 64] |= uint64_t{1} << (FilterBit(words) % 64);
    any_wide_ |= record.port == 0 || record.last_port != 0;
    if (record.last_port != 0) continue;
    Place(words, MetaOf(family, record.protocol, Be16::FromHost(record.port).raw()))
        ->service_index = record.service_index;
  }
  AddRanges(frontends);
}

FrontendTable::Entry* FrontendTable::Place(const Words& words, uint64_t meta) {
  Entry& entry = entries_[static_cast<size_t>(&Probe(words, meta) - entries_.data())];
  if (entry.meta == 0) entry = {{words.a0, words.a1}, meta};
  return &entry;
}

// Frontends of one address and protocol are adjacent.
void FrontendTable::AddRanges(std::span<const FrontendRecord> frontends) {
  if (!any_wide_) return;
  const auto place_of = [](const FrontendRecord& record) {
    return std::tuple(AddressOf(record), record.protocol);
  };
  for (size_t begin = 0, end = 0; begin < frontends.size(); begin = end) {
    std::vector<PortRangeValue> ranges;
    const auto place = place_of(frontends[begin]);
    for (; end < frontends.size() && place_of(frontends[end]) == place; ++end) {
      const FrontendRecord& record = frontends[end];
      if (record.last_port == 0) continue;
      ranges.push_back({record.port, record.last_port, record.service_index});
    }
    if (ranges.empty()) continue;
    const FrontendRecord& record = frontends[begin];
    Place(Load(record.address), MetaOf(static_cast<Family>(record.family), record.protocol, 0))
        ->ranges = ranges_.AddGroup(std::move(ranges));
  }
}

uint32_t FrontendTable::FindWide(const Words& words, uint64_t meta) const {
  const Entry& wide = Probe(words, meta & ~kPortMask);
  if (wide.ranges == PortSegments::kNone) return wide.service_index;
  const uint16_t port = __builtin_bswap16(static_cast<uint16_t>(meta));
  const uint32_t service = ranges_.Find(wide.ranges, port);
  return service != PortSegments::kNone ? service : wide.service_index;
}

}  // namespace fairlead
