#include "lib/table/slot_table.h"

#include <vector>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

TEST(Slot, LiesInItsWordAsDocumented) {
  EXPECT_EQ((Slot{0x1234, 0x5678, SlotState::kPinned}).Pack(),
            (uint32_t{2} << 30) | (uint32_t{0x5678} << 15) | 0x1234);
}

TEST(Slot, SurvivesPackingWithExtremeFields) {
  for (const uint16_t current : {uint16_t{0}, uint16_t{0x7ffe}, kNoOwner}) {
    for (const uint16_t stable : {uint16_t{0}, uint16_t{0x7ffe}, kNoOwner}) {
      for (const SlotState state :
           {SlotState::kSettled, SlotState::kShifting, SlotState::kPinned}) {
        const Slot back = Slot::Unpack(Slot{current, stable, state}.Pack());
        EXPECT_EQ(back.current, current);
        EXPECT_EQ(back.stable, stable);
        EXPECT_EQ(back.state, state);
      }
    }
  }
}

TEST(SlotTable, StartsSettledOnItsOwners) {
  const std::vector<uint16_t> owners = {3, kNoOwner, 0};
  const SlotTable table(owners);
  ASSERT_EQ(table.size(), 3U);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(table.Load(i).current, owners[i]);
    EXPECT_EQ(table.Load(i).stable, owners[i]);
    EXPECT_EQ(table.Load(i).state, SlotState::kSettled);
  }
}

TEST(SlotTable, StoresOneSlotAndLeavesItsNeighbours) {
  SlotTable table(std::vector<uint16_t>{1, 1, 1});
  table.Store(1, {2, 1, SlotState::kShifting});
  EXPECT_EQ(table.Load(0).current, 1);
  EXPECT_EQ(table.Load(1).current, 2);
  EXPECT_EQ(table.Load(1).stable, 1);
  EXPECT_EQ(table.Load(1).state, SlotState::kShifting);
  EXPECT_EQ(table.Load(2).current, 1);
}

}  // namespace
}  // namespace fairlead
