#include "lib/table/slot_table.h"

namespace fairlead {

SlotTable::SlotTable(std::span<const uint16_t> owners)
    : words_(std::make_unique<std::atomic<uint32_t>[]>(owners.size())),
      size_(static_cast<uint32_t>(owners.size())) {
  for (uint32_t i = 0; i < size_; ++i) Store(i, {owners[i], owners[i], SlotState::kSettled});
}

}  // namespace fairlead
