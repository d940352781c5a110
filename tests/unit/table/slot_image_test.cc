#include "lib/table/slot_image.h"

#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kEpoch = 77;

SavedSlots Sample() {
  return {9,
          HashPolicy::kSourceIp,
          251,
          0x1234,
          {{3, SlotState::kShifting, 100, 5, 6, {{7, 90}, {6, 80}}},
           {250, SlotState::kPinned, 200, 0, 0, {}}}};
}

TEST(SlotImage, DecodesToWhatWasEncoded) {
  const Result<SavedSlots> saved = DecodeSlots(EncodeSlots(Sample(), kEpoch), kEpoch);
  ASSERT_TRUE(saved.ok()) << saved.status().message();
  EXPECT_EQ(saved->service_id, 9U);
  EXPECT_EQ(saved->hash_policy, HashPolicy::kSourceIp);
  EXPECT_EQ(saved->slot_count, 251U);
  EXPECT_EQ(saved->hash_seed, 0x1234U);
  ASSERT_EQ(saved->slots.size(), 2U);
  EXPECT_EQ(saved->slots[0].index, 3U);
  EXPECT_EQ(saved->slots[0].state, SlotState::kShifting);
  EXPECT_EQ(saved->slots[0].since_tick, 100U);
  EXPECT_EQ(saved->slots[0].current_id, 5U);
  EXPECT_EQ(saved->slots[0].stable_id, 6U);
  EXPECT_EQ(saved->slots[0].formers[0].id, 7U);
  EXPECT_EQ(saved->slots[0].formers[0].until_tick, 90U);
  EXPECT_EQ(saved->slots[0].formers[1].id, 6U);
  EXPECT_EQ(saved->slots[0].formers[2].id, 0U);
  EXPECT_EQ(saved->slots[1].state, SlotState::kPinned);
  EXPECT_EQ(saved->slots[1].formers[0].id, 0U);
}

TEST(SlotImage, HoldsAsManyFormerOwnersAsATableDoes) {
  SavedSlots all = Sample();
  for (uint32_t n = 0; n < kMaxFormers; ++n) all.slots[1].formers[n] = {n + 1, n};
  const Result<SavedSlots> saved = DecodeSlots(EncodeSlots(all, kEpoch), kEpoch);
  ASSERT_TRUE(saved.ok()) << saved.status().message();
  EXPECT_EQ(saved->slots[1].formers[kMaxFormers - 1].id, kMaxFormers);
}

TEST(SlotImage, IsRefusedWhenCutAtAnyByte) {
  const auto bytes = EncodeSlots(Sample(), kEpoch);
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(DecodeSlots(std::span(bytes).first(length), kEpoch).ok()) << length;
  }
}

TEST(SlotImage, IsRefusedWithAnyBitFlipped) {
  const auto good = EncodeSlots(Sample(), kEpoch);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] ^= std::byte{static_cast<uint8_t>(1U << (bit % 8))};
    EXPECT_FALSE(DecodeSlots(bytes, kEpoch).ok()) << bit;
  }
}

TEST(SlotImage, SaysWhyItIsRefused) {
  auto bytes = EncodeSlots(Sample(), kEpoch);
  EXPECT_THAT(DecodeSlots(bytes, kEpoch + 1).status().message(), HasSubstr("booted"));
  bytes[8] = std::byte{1};
  EXPECT_THAT(DecodeSlots(bytes, kEpoch).status().message(), HasSubstr("version: 1 is not 2"));
  EXPECT_EQ(DecodeSlots(bytes, kEpoch).status().code(), ErrorCode::kFailedPrecondition);
}

// Invalid contents with a right digest.
TEST(SlotImage, IsRefusedWithInvalidSlots) {
  for (const SavedSlot& wrong : {SavedSlot{251, SlotState::kPinned, 0, 0, 0, {}},
                                 SavedSlot{2, SlotState::kPinned, 0, 0, 0, {}},
                                 SavedSlot{4, SlotState::kSettled, 0, 0, 0, {}}}) {
    SavedSlots saved = Sample();
    saved.slots[1] = wrong;
    EXPECT_THAT(DecodeSlots(EncodeSlots(saved, kEpoch), kEpoch).status().message(),
                HasSubstr("slots[1]"));
  }
}

}  // namespace
}  // namespace fairlead
