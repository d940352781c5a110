#include "lib/table/slot_memory.h"

#include <vector>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

constexpr size_t kSlots = 65'537;

TEST(SlotMemory, AllocatesBlocksThatDoNotOverlap) {
  std::vector<SlotWords> tables;
  for (uint32_t t = 0; t < 100; ++t) {
    tables.push_back(AllocateSlotWords(kSlots));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tables.back().get()) % 64, 0U);
    for (size_t i = 0; i < kSlots; ++i) tables.back()[i].store(t);
  }
  for (uint32_t t = 0; t < 100; ++t) {
    for (size_t i = 0; i < kSlots; i += 4096) ASSERT_EQ(tables[t][i].load(), t);
    ASSERT_EQ(tables[t][kSlots - 1].load(), t);
  }
}

TEST(SlotMemory, PacksManyTablesIntoARegion) {
  const size_t before = SlotMemoryBytes();
  std::vector<SlotWords> tables;
  for (int t = 0; t < 126; ++t) tables.push_back(AllocateSlotWords(kSlots));
  EXPECT_LE(SlotMemoryBytes() - before, 2 * kSlotRegionBytes);  // 63 in each
}

TEST(SlotMemory, ReusesAFreedBlock) {
  const SlotWords other = AllocateSlotWords(kSlots);  // keeps the region allocated
  SlotWords table = AllocateSlotWords(kSlots);
  const void* const address = table.get();
  const size_t bytes = SlotMemoryBytes();
  table.reset();
  EXPECT_EQ(AllocateSlotWords(kSlots).get(), address);
  EXPECT_EQ(SlotMemoryBytes(), bytes);
}

TEST(SlotMemory, FreesARegionWithItsLastBlock) {
  const size_t before = SlotMemoryBytes();
  {
    std::vector<SlotWords> tables;
    for (int t = 0; t < 200; ++t) tables.push_back(AllocateSlotWords(kSlots));
    EXPECT_GT(SlotMemoryBytes(), before);
  }
  EXPECT_EQ(SlotMemoryBytes(), before);
  EXPECT_NE(AllocateSlotWords(kSlots), nullptr);  // the allocator keeps no block of a freed region
}

TEST(SlotMemory, AllocatesALargerRegionForALargerTable) {
  const size_t before = SlotMemoryBytes();
  const size_t count = kSlotRegionBytes / sizeof(uint32_t) + 1;
  SlotWords table = AllocateSlotWords(count);
  table[count - 1].store(7);
  EXPECT_EQ(table[count - 1].load(), 7U);
  table.reset();
  EXPECT_EQ(SlotMemoryBytes(), before);
}

}  // namespace
}  // namespace fairlead
