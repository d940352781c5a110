#include "lib/table/slot_table.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

TEST(Slot, IsPackedAsDocumented) {
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

// ---- NextSlot, row by row

constexpr uint16_t kA = 0;
constexpr uint16_t kB = 1;
constexpr uint16_t kC = 2;
constexpr uint16_t kGone = kNoOwner;
constexpr SlotState kSettled = SlotState::kSettled;
constexpr SlotState kShifting = SlotState::kShifting;
constexpr SlotState kPinned = SlotState::kPinned;

struct NextRow {
  const char* name;
  Slot before;  // current, stable, state
  bool window_over;
  uint16_t owner;
  Slot after;
  bool starts;
};

const NextRow kNextRows[] = {
    {"SettledStays", {kA, kA, kSettled}, true, kA, {kA, kA, kSettled}, false},
    {"SettledShifts", {kA, kA, kSettled}, true, kB, {kB, kA, kShifting}, true},
    {"SettledLosesItsOwner", {kA, kA, kSettled}, true, kNoOwner, {kNoOwner, kA, kShifting}, true},
    {"SlotWithoutOwnerIsSettledAtOnce",
     {kGone, kGone, kSettled},
     true,
     kB,
     {kB, kB, kSettled},
     false},
    {"SlotWithoutOwnerStaysWithoutOwner",
     {kGone, kGone, kSettled},
     true,
     kNoOwner,
     {kNoOwner, kNoOwner, kSettled},
     false},
    {"ShiftingChangesCurrentOnly", {kB, kA, kShifting}, false, kC, {kC, kA, kShifting}, false},
    {"ShiftingBackStaysShifting", {kB, kA, kShifting}, false, kA, {kA, kA, kShifting}, false},
    {"ShiftingContinuesWhenItsCurrentIsGone",
     {kGone, kA, kShifting},
     false,
     kC,
     {kC, kA, kShifting},
     false},
    {"ShiftingWithoutStableIsPinned", {kB, kGone, kShifting}, false, kB, {kB, kB, kPinned}, false},
    {"ShiftingPastItsWindowIsPinned", {kB, kA, kShifting}, true, kB, {kB, kB, kPinned}, false},
    {"ShiftingPastItsWindowShiftsAnew", {kB, kA, kShifting}, true, kC, {kC, kB, kShifting}, true},
    {"PinnedStays", {kB, kB, kPinned}, true, kB, {kB, kB, kPinned}, false},
    {"PinnedStaysWithinT", {kB, kB, kPinned}, false, kB, {kB, kB, kPinned}, false},
    {"PinnedShiftsFromItsOwner", {kB, kB, kPinned}, true, kC, {kC, kB, kShifting}, true},
    {"PinnedWhoseOwnerIsGoneStaysPinned",
     {kGone, kGone, kPinned},
     true,
     kC,
     {kC, kC, kPinned},
     false},
};

void PrintTo(const NextRow& row, std::ostream* out) { *out << row.name; }

class NextSlotRows : public ::testing::TestWithParam<NextRow> {};

TEST_P(NextSlotRows, GiveTheExpectedSlot) {
  const NextRow& row = GetParam();
  bool starts = !row.starts;
  const Slot after = NextSlot(row.before, row.window_over, row.owner, &starts);
  EXPECT_EQ(after.current, row.after.current);
  EXPECT_EQ(after.stable, row.after.stable);
  EXPECT_EQ(after.state, row.after.state);
  EXPECT_EQ(starts, row.starts);
}

INSTANTIATE_TEST_SUITE_P(Rows, NextSlotRows, ::testing::ValuesIn(kNextRows),
                         [](const auto& row) { return std::string(row.param.name); });

// ---- successive generations

constexpr uint32_t kT = 100;
const std::vector<uint16_t> kSame = {0, 1, 2, 3};

SlotTable After(const SlotTable& previous, const std::vector<uint16_t>& owners, uint32_t now_tick,
                const std::vector<uint16_t>& renumbered = kSame) {
  return {previous, owners, {renumbered, now_tick, kT}};
}

// A complete sweep that finds `records`, pairs of slot and backend.
bool Sweep(SlotTable* table, uint32_t now_tick,
           const std::vector<std::pair<uint32_t, uint16_t>>& records = {}) {
  table->BeginCount(now_tick, kT);
  for (const auto& [slot, owner] : records) table->CountRecord(slot, owner);
  return table->EndCount();
}

TEST(SlotTable, RemembersWhenEachSlotBeganToShift) {
  const SlotTable first(std::vector<uint16_t>{0, 0, 0});
  const SlotTable second = After(first, {1, 0, 0}, 10);
  const SlotTable third = After(second, {2, 1, 0}, 50);
  ASSERT_EQ(third.unsettled().size(), 2U);
  EXPECT_EQ(third.unsettled()[0].index, 0U);
  EXPECT_EQ(third.unsettled()[0].since_tick, 10U);  // its first change counts
  EXPECT_EQ(third.unsettled()[1].index, 1U);
  EXPECT_EQ(third.unsettled()[1].since_tick, 50U);
  EXPECT_EQ(third.Load(0), (Slot{2, 0, kShifting}));
  EXPECT_EQ(third.Load(2), (Slot{0, 0, kSettled}));
  EXPECT_EQ(third.shifting_count(), 2U);
  EXPECT_EQ(third.shifting_count_of(0), 2U);
  EXPECT_EQ(third.shifting_count_of(1), 0U);
}

TEST(SlotTable, FollowsBackendsWhoseIndicesChange) {
  const SlotTable first(std::vector<uint16_t>{0, 1, 2});
  const SlotTable second = After(first, {1, 1, 1}, 10);
  // Backend 0 is removed, and a new one gets index 0. Backends 1 and 2 keep their indices.
  const SlotTable third = After(second, {1, 1, 1}, 20, {kNoOwner, 1, 2});
  EXPECT_EQ(third.Load(0), (Slot{1, 1, kPinned}));
  EXPECT_EQ(third.Load(1), (Slot{1, 1, kSettled}));
  EXPECT_EQ(third.Load(2), (Slot{1, 2, kShifting}));
  const SlotTable fourth = After(third, {0, 0, 0}, 30, {3, 0, 1});
  EXPECT_EQ(fourth.Load(0), (Slot{0, 0, kPinned}));
  EXPECT_EQ(fourth.Load(1), (Slot{0, 0, kSettled}));
  EXPECT_EQ(fourth.Load(2), (Slot{0, 1, kShifting}));
  EXPECT_EQ(fourth.shifting_count_of(1), 1U);
  EXPECT_EQ(fourth.shifting_count_of(2), 0U);
}

TEST(SlotTable, GoesFromShiftingToPinnedToSettled) {
  const SlotTable first(std::vector<uint16_t>{0, 0});
  SlotTable table = After(first, {1, 0}, 10);
  EXPECT_FALSE(Sweep(&table, 10 + kT));
  EXPECT_EQ(table.Load(0), (Slot{1, 0, kShifting}));
  EXPECT_TRUE(Sweep(&table, 11 + kT));
  EXPECT_EQ(table.Load(0), (Slot{1, 1, kPinned}));
  EXPECT_EQ(table.shifting_count(), 0U);
  EXPECT_EQ(table.pinned_count(), 1U);
  EXPECT_FALSE(Sweep(&table, 12 + kT, {{0, 1}, {0, 0}, {1, 0}}));
  EXPECT_EQ(table.Load(0).state, kPinned);
  EXPECT_TRUE(Sweep(&table, 13 + kT, {{0, 1}, {1, 0}}));
  EXPECT_EQ(table.Load(0), (Slot{1, 1, kSettled}));
  EXPECT_TRUE(table.all_settled());
  EXPECT_TRUE(table.unsettled().empty());
}

TEST(SlotTable, IsNotSettledByAnUnfinishedSweep) {
  const SlotTable first(std::vector<uint16_t>{0});
  SlotTable table = After(first, {1}, 10);
  Sweep(&table, 11 + kT);
  table.BeginCount(12 + kT, kT);  // without EndCount
  const SlotTable next = After(table, {1}, 12 + kT);
  EXPECT_EQ(next.Load(0).state, kPinned);
  SlotTable copy = After(table, {1}, 12 + kT);
  EXPECT_FALSE(copy.EndCount());  // the sweep began before this table existed
  EXPECT_EQ(copy.Load(0).state, kPinned);
}

TEST(SlotTable, SaysWhetherARecordDisagreesAndWhetherItIsDerivable) {
  const SlotTable first(std::vector<uint16_t>{0, 0, 0});
  SlotTable table = After(first, {1, 1, 0}, 10);
  table.BeginCount(20, kT);
  EXPECT_TRUE(table.CountRecord(0, 0).disagrees);
  EXPECT_TRUE(table.CountRecord(0, 0).derivable);  // from its stable owner
  EXPECT_FALSE(table.CountRecord(0, 1).disagrees);
  EXPECT_FALSE(table.CountRecord(0, 1).derivable);
  EXPECT_FALSE(table.CountRecord(2, 0).disagrees);
  EXPECT_TRUE(table.CountRecord(2, 0).derivable);
  table.EndCount();
  table.BeginCount(11 + kT, kT);
  EXPECT_FALSE(table.CountRecord(0, 0).derivable);  // the slot will be pinned
}

// ---- former owners

SlotTable AfterWithFormers(const SlotTable& previous, const std::vector<uint16_t>& owners,
                           uint32_t now_tick, const std::vector<uint16_t>& renumbered = kSame) {
  return {previous, owners, {renumbered, now_tick, kT, 2 * kT}};
}

std::vector<uint16_t> FormersOf(const SlotTable& table, uint32_t index) {
  std::vector<uint16_t> owners;
  const SlotFormers* formers = table.FormersOf(index);
  for (uint32_t n = 0; formers != nullptr && n < kMaxFormers; ++n) {
    if (formers->owners[n] != kNoOwner) owners.push_back(formers->owners[n]);
  }
  return owners;
}

TEST(SlotFormers, AreKeptNewestFirst) {
  using Owners = std::vector<uint16_t>;
  const SlotTable first(std::vector<uint16_t>{0, 0});
  const SlotTable second = AfterWithFormers(first, {1, 0}, 10);
  EXPECT_EQ(FormersOf(second, 0), Owners{0});
  EXPECT_EQ(second.FormersOf(1), nullptr);
  const SlotTable third = AfterWithFormers(second, {2, 0}, 20);
  EXPECT_EQ(FormersOf(third, 0), (Owners{1, 0}));
  // Back to a former owner: it leaves the list.
  const SlotTable fourth = AfterWithFormers(third, {1, 0}, 30);
  EXPECT_EQ(FormersOf(fourth, 0), (Owners{2, 0}));
  // Backends change: 0 is removed and 2 becomes 0, or 2 is removed.
  EXPECT_EQ(FormersOf(AfterWithFormers(fourth, {1, 0}, 40, {kNoOwner, 1, 0, 2}), 0), Owners{0});
  EXPECT_EQ(FormersOf(AfterWithFormers(fourth, {1, 0}, 40, {0, 1, kNoOwner, 2}), 0), Owners{0});
}

TEST(SlotFormers, AreTheNewestIfThereAreTooMany) {
  auto table = std::make_unique<SlotTable>(std::vector<uint16_t>{0});
  std::vector<uint16_t> same(10);
  for (uint16_t n = 0; n < 10; ++n) same[n] = n;
  for (uint16_t owner = 1; owner < 10; ++owner) {
    table = std::make_unique<SlotTable>(AfterWithFormers(*table, {owner}, owner, same));
  }
  EXPECT_EQ(FormersOf(*table, 0), (std::vector<uint16_t>{8, 7, 6, 5, 4, 3}));
}

TEST(SlotFormers, KeepTheirSlotPinnedWhileTheyCount) {
  const SlotTable first(std::vector<uint16_t>{0});
  SlotTable table = AfterWithFormers(first, {1}, 10);
  const auto sweep = [&](uint32_t now_tick) {
    table.BeginCount(now_tick, kT, 2 * kT);
    table.EndCount();
  };
  sweep(11 + kT);
  EXPECT_EQ(table.Load(0).state, kPinned);
  sweep(10 + 2 * kT);
  EXPECT_EQ(table.Load(0).state, kPinned);
  sweep(11 + 2 * kT);
  EXPECT_EQ(table.Load(0).state, kSettled);
}

TEST(SlotFormers, AreKeptUntilTheirSlotSettlesHoweverOldTheyAre) {
  using Owners = std::vector<uint16_t>;
  const SlotTable first(std::vector<uint16_t>{0});
  SlotTable table = AfterWithFormers(first, {1}, 10);
  const auto sweep = [&](uint32_t now_tick, bool recorded) {
    table.BeginCount(now_tick, kT, 2 * kT);
    if (recorded) table.CountRecord(0, 2);
    table.EndCount();
  };
  // A record of another backend keeps the slot pinned, even if it is wrong. So the list stays.
  sweep(11 + kT, true);
  sweep(11 + 4 * kT, true);
  ASSERT_EQ(table.Load(0).state, kPinned);
  EXPECT_EQ(FormersOf(table, 0), Owners{0});
  EXPECT_EQ(FormersOf(AfterWithFormers(table, {1}, 12 + 4 * kT), 0), Owners{0});
  EXPECT_EQ(FormersOf(AfterWithFormers(table, {2}, 12 + 4 * kT), 0), (Owners{1, 0}));
  sweep(11 + 5 * kT, false);
  ASSERT_EQ(table.Load(0).state, kSettled);
  EXPECT_EQ(AfterWithFormers(table, {1}, 12 + 5 * kT).FormersOf(0), nullptr);
  EXPECT_EQ(FormersOf(AfterWithFormers(table, {2}, 12 + 5 * kT), 0), Owners{1});
}

TEST(SlotFormers, AreNotKeptWithoutSecondChance) {
  const SlotTable first(std::vector<uint16_t>{0});
  EXPECT_EQ(After(first, {1}, 10).FormersOf(0), nullptr);
}

// A plain model of a slot, with backends by name.
struct ModelSlot {
  std::string current = "-";
  std::string stable;  // "" unless shifting
  bool pinned = false;
  uint32_t since_tick = 0;
};

class SlotModel {
 public:
  explicit SlotModel(size_t slots) : slots_(slots) {}
  void Change(const std::vector<std::string>& owners, const std::set<std::string>& alive,
              uint32_t now_tick) {
    for (size_t i = 0; i < slots_.size(); ++i) Change(&slots_[i], owners[i], alive, now_tick);
  }
  void Sweep(uint32_t now_tick, const std::map<size_t, std::set<std::string>>& records) {
    for (size_t i = 0; i < slots_.size(); ++i) {
      ModelSlot& slot = slots_[i];
      if (!slot.stable.empty()) {
        if (now_tick - slot.since_tick > kT) {
          slot.stable.clear();
          slot.pinned = true;
        }
      } else if (slot.pinned) {
        std::set<std::string> others =
            records.contains(i) ? records.at(i) : std::set<std::string>();
        others.erase(slot.current);
        slot.pinned = !others.empty();
      }
    }
  }
  const ModelSlot& operator[](size_t i) const { return slots_[i]; }

 private:
  static void Change(ModelSlot* slot, const std::string& owner, const std::set<std::string>& alive,
                     uint32_t now_tick) {
    if (!slot->stable.empty() && now_tick - slot->since_tick > kT) {
      slot->stable.clear();
      slot->pinned = true;
    }
    if (!slot->stable.empty()) {
      slot->current = owner;
      if (alive.contains(slot->stable)) return;
      slot->stable.clear();
      slot->pinned = true;
      return;
    }
    if (owner != slot->current && alive.contains(slot->current)) {
      slot->stable = slot->current;
      slot->pinned = false;
      slot->since_tick = now_tick;
    }
    slot->current = owner;
  }
  std::vector<ModelSlot> slots_;
};

TEST(SlotTable, AgreesWithAModelOverRandomChangesAndSweeps) {
  constexpr uint64_t kSeed = 20261125;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  constexpr size_t kSlots = 7;
  std::vector<std::string> backends;  // by local index
  SlotModel model(kSlots);
  auto table = std::make_unique<SlotTable>(std::vector<uint16_t>(kSlots, kNoOwner));
  uint32_t now_tick = 0;
  std::map<SlotState, int> seen;
  for (int round = 0; round < 20'000; ++round) {
    now_tick += static_cast<uint32_t>(random() % 40);
    if (random() % 3 == 0) {
      // Backends come, go, and change their order.
      std::vector<std::string> next;
      for (const char name : {'a', 'b', 'c', 'd', 'e'}) {
        const std::string backend(1, name);
        const bool was = std::find(backends.begin(), backends.end(), backend) != backends.end();
        if (random() % 8 != 0 ? was : !was) next.push_back(backend);
      }
      std::shuffle(next.begin(), next.end(), random);
      std::vector<uint16_t> renumbered;
      for (const std::string& backend : backends) {
        const auto at = std::find(next.begin(), next.end(), backend);
        renumbered.push_back(at == next.end() ? kNoOwner
                                              : static_cast<uint16_t>(at - next.begin()));
      }
      std::vector<uint16_t> owners;
      std::vector<std::string> names;
      for (size_t i = 0; i < kSlots; ++i) {
        const size_t owner = random() % (next.size() + 1);
        owners.push_back(owner == next.size() ? kNoOwner : static_cast<uint16_t>(owner));
        names.push_back(owner == next.size() ? "-" : next[owner]);
      }
      table = std::make_unique<SlotTable>(*table, owners, SlotChange{renumbered, now_tick, kT});
      backends = next;
      model.Change(names, {backends.begin(), backends.end()}, now_tick);
    } else {
      std::map<size_t, std::set<std::string>> records;
      table->BeginCount(now_tick, kT);
      for (size_t n = random() % 5; n > 0 && !backends.empty(); --n) {
        const size_t slot = random() % kSlots;
        const size_t owner = random() % backends.size();
        records[slot].insert(backends[owner]);
        table->CountRecord(static_cast<uint32_t>(slot), static_cast<uint16_t>(owner));
      }
      table->EndCount();
      model.Sweep(now_tick, records);
    }
    const auto name = [&](uint16_t owner) { return owner == kNoOwner ? "-" : backends[owner]; };
    for (uint32_t i = 0; i < kSlots; ++i) {
      const Slot slot = table->Load(i);
      ++seen[slot.state];
      ASSERT_EQ(name(slot.current), model[i].current) << round;
      const SlotState state = !model[i].stable.empty() ? kShifting
                              : model[i].pinned        ? kPinned
                                                       : kSettled;
      ASSERT_EQ(slot.state, state) << round << " slot " << i;
      ASSERT_EQ(name(slot.stable), state == kShifting ? model[i].stable : model[i].current)
          << round;
    }
  }
  for (const SlotState state : {kSettled, kShifting, kPinned}) EXPECT_GT(seen[state], 1000);
}

}  // namespace
}  // namespace fairlead
