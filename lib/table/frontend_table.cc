#include "lib/table/frontend_table.h"

namespace fairlead {

FrontendTable::FrontendTable(std::span<const FrontendRecord> frontends) {
  // Two entries for each frontend at most, and half of the table free.
  entries_.resize(std::bit_ceil(frontends.size() * 4 + 2));
  mask_ = entries_.size() - 1;
  const uint64_t filter_bits = std::bit_ceil(frontends.size() * 64 + 1024);
  filter_.resize(filter_bits / 64);
  filter_shift_ = 64 - std::countr_zero(filter_bits);
  for (const FrontendRecord& record : frontends) {
    const Words words = Load(record.address);
    const auto family = static_cast<Family>(record.family);
    Add(words, MetaOf(family, record.protocol, Be16::FromHost(record.port).raw()),
        record.service_index);
    Add(words, kKindAddress | MetaOf(family, 0, 0), kNoService);
    filter_[FilterBit(words) / 64] |= uint64_t{1} << (FilterBit(words) % 64);
    any_port_ = any_port_ || record.port == 0;
  }
}

void FrontendTable::Add(const Words& words, uint64_t meta, uint32_t service_index) {
  const Entry& place = Probe(words, meta);
  entries_[static_cast<size_t>(&place - entries_.data())] = {
      {words.a0, words.a1}, meta, service_index, 0};
}

}  // namespace fairlead
