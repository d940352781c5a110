#include "lib/table/forwarding_tables.h"

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/flow/flow_table.h"
#include "tests/unit/table/tables.h"

namespace fairlead {
namespace {

using testing::MakeBackend;
using testing::MakeService;

class ForwardingTablesTest : public testing::TablesFixture {
 protected:
  static SnapshotInput TwoServices() {
    SnapshotInput input{.generation = 1, .hash_seed = 0x1234, .services = {}};
    input.services.push_back(
        MakeService(10, "dns", "203.0.113.10:53/udp",
                    {MakeBackend(1, "10.0.0.51"), MakeBackend(2, "10.0.0.52")}));
    input.services.push_back(
        MakeService(20, "web", "203.0.113.10:80/tcp",
                    {MakeBackend(3, "10.0.0.11"), MakeBackend(4, "10.0.0.12", 2),
                     MakeBackend(5, "2001:db8:1::13")}));
    return input;
  }

  static void SetState(SnapshotService* service, uint32_t id, BackendState state) {
    for (SnapshotBackend& backend : service->backends) {
      if (backend.id == id) backend.state = state;
    }
  }

  // The address of each slot's owner as text; "" if it has none.
  std::vector<std::string> Owners(size_t service_index) const {
    const ServiceEntry& service = Service(service_index);
    std::vector<std::string> owners;
    for (uint32_t i = 0; i < service.slot_count; ++i) {
      if (service.slot_table->Load(i).current == kNoOwner) {
        owners.emplace_back();
        continue;
      }
      const BackendEntry& owner = Owner(service, i);
      const std::span<const uint8_t, 16> bytes(owner.address);
      owners.push_back(owner.family == 4 ? IpAddress::FromV4(bytes.first<4>()).ToString()
                                         : IpAddress::FromV6(bytes).ToString());
    }
    return owners;
  }
  std::set<std::string> OwnerSet(size_t service_index) const {
    const auto owners = Owners(service_index);
    return {owners.begin(), owners.end()};
  }
};

TEST_F(ForwardingTablesTest, HasTheSettingsOfTheSnapshot) {
  SnapshotInput input = TwoServices();
  input.generation = 42;
  SnapshotService& web = input.services[1];
  web.hash_policy = HashPolicy::kSourceIp;
  web.tracking_tcp = Tracking::kAdaptive;
  web.tracking_udp = Tracking::kNone;
  web.idle_timeout_tcp_ms = 350'000;
  web.idle_timeout_udp_ms = 1;
  Publish(input);
  EXPECT_EQ(tables_->generation(), 42U);
  EXPECT_EQ(tables_->hash_seed(), 0x1234U);
  ASSERT_EQ(tables_->services().size(), 2U);
  const ServiceEntry& service = Service(1);
  EXPECT_EQ(service.name, "web");
  EXPECT_EQ(service.id, 20U);
  EXPECT_EQ(service.first_backend, 2U);
  EXPECT_EQ(service.backend_count, 3U);
  EXPECT_EQ(service.hash_policy, HashPolicy::kSourceIp);
  EXPECT_EQ(service.tracking_tcp, Tracking::kAdaptive);
  EXPECT_EQ(service.tracking_udp, Tracking::kNone);
  EXPECT_EQ(service.idle_ticks_tcp, 1400U);
  EXPECT_EQ(service.idle_ticks_udp, 1U);
  EXPECT_EQ(service.salt, SaltOfService(20));
  const IpAddress address = IpAddress::Parse("203.0.113.10").value();
  EXPECT_EQ(tables_->frontends().Find(address.bytes().data(), Family::kIpv4, 6, 80), 1U);
}

TEST_F(ForwardingTablesTest, FindsEachBackendByIdAndNoOther) {
  Publish(TwoServices());
  for (uint32_t id = 1; id <= 5; ++id) {
    const BackendEntry* backend = tables_->FindBackend(id);
    ASSERT_NE(backend, nullptr);
    EXPECT_EQ(backend->id, id);
    EXPECT_EQ(backend->service_index, id <= 2 ? 0U : 1U);
  }
  for (const uint32_t id : {0U, 6U, 1000U, UINT32_MAX}) {
    EXPECT_EQ(tables_->FindBackend(id), nullptr) << id;
  }
}

TEST_F(ForwardingTablesTest, FindsBackendsAmongThousandsOfConsecutiveIds) {
  SnapshotInput input{.generation = 1, .hash_seed = 1, .services = {}};
  std::vector<SnapshotBackend> backends;
  for (uint32_t i = 0; i < 5000; ++i) {
    const std::string endpoint =
        "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
    backends.push_back(MakeBackend(1000 + i, endpoint));
  }
  input.services.push_back(MakeService(1, "big", "203.0.113.10:80/tcp", backends));
  backend_indices_ = CounterIndices(5000);
  Publish(input);
  for (uint32_t id = 0; id < 8000; ++id) {
    const BackendEntry* backend = tables_->FindBackend(id);
    ASSERT_EQ(backend != nullptr, id >= 1000 && id < 6000) << id;
    if (backend != nullptr) {
      ASSERT_EQ(backend->id, id);
    }
  }
}

TEST_F(ForwardingTablesTest, IsEmptyButUsableWithoutServices) {
  Publish({.generation = 1, .hash_seed = 0, .services = {}});
  EXPECT_TRUE(tables_->services().empty());
  EXPECT_EQ(tables_->FindBackend(1), nullptr);
}

TEST_F(ForwardingTablesTest, ResolvesNextHopsToPorts) {
  SnapshotInput input = TwoServices();
  const MacAddress mac = MacAddress::Parse("02:00:00:00:00:0b").value();
  input.services[1].backends[0].next_hop = SnapshotNextHop{mac, 7, "lan"};
  input.services[1].backends[1].next_hop = SnapshotNextHop{mac, 0, ""};
  Publish(input);
  const BackendEntry* lan = tables_->FindBackend(3);
  EXPECT_TRUE(lan->has_next_hop);
  EXPECT_EQ(lan->egress_port, 1);
  EXPECT_EQ(lan->vlan, 7);
  EXPECT_EQ(std::memcmp(lan->destination_mac, mac.bytes.data(), 6), 0);
  EXPECT_EQ(std::memcmp(lan->source_mac, ports_[1].mac.bytes.data(), 6), 0);
  const BackendEntry* ingress = tables_->FindBackend(4);
  EXPECT_TRUE(ingress->has_next_hop);
  EXPECT_EQ(ingress->egress_port, kIngressPort);
  EXPECT_FALSE(tables_->FindBackend(5)->has_next_hop);
}

TEST_F(ForwardingTablesTest, RefusesASnapshotWhenCounterIndexesRunOut) {
  backend_indices_ = CounterIndices(4);
  EXPECT_EQ(Build(TwoServices()).status().code(), ErrorCode::kResourceExhausted);
  backend_indices_ = CounterIndices(5);
  service_indices_ = CounterIndices(1);
  EXPECT_EQ(Build(TwoServices()).status().code(), ErrorCode::kResourceExhausted);
  service_indices_ = CounterIndices(2);
  EXPECT_TRUE(Build(TwoServices()).ok());
}

TEST_F(ForwardingTablesTest, KeepsCounterIndexesOverGenerations) {
  SnapshotInput input = TwoServices();
  Publish(input);
  const uint32_t backend_counter = tables_->FindBackend(5)->counter_index;
  const uint32_t service_counter = Service(1).counter_index;
  input.services.erase(input.services.begin());
  Publish(input);
  EXPECT_EQ(tables_->FindBackend(5)->counter_index, backend_counter);
  EXPECT_EQ(Service(0).counter_index, service_counter);
}

TEST_F(ForwardingTablesTest, GivesSlotsByWeightToActiveBackendsOnly) {
  SnapshotInput input = TwoServices();
  SnapshotService& web = input.services[1];
  web.slot_count = 65537;
  web.backends.push_back(MakeBackend(6, "10.0.0.14", 3, BackendState::kDraining));
  web.backends.push_back(MakeBackend(7, "10.0.0.15", 3, BackendState::kDown));
  web.backends.push_back(MakeBackend(8, "10.0.0.16", 0));
  Publish(input);
  std::map<std::string, uint32_t> count;
  for (const std::string& owner : Owners(1)) ++count[owner];
  EXPECT_EQ(count.size(), 3U);
  EXPECT_NEAR(count["10.0.0.11"], 65537 / 4, 2);
  EXPECT_NEAR(count["10.0.0.12"], 65537 / 2, 2);
  EXPECT_NEAR(count["2001:db8:1::13"], 65537 / 4, 2);
}

TEST_F(ForwardingTablesTest, HasNoOwnersIfNoBackendIsActive) {
  SnapshotInput input = TwoServices();
  for (SnapshotBackend& backend : input.services[1].backends) {
    backend.state = BackendState::kDraining;
  }
  Publish(input);
  EXPECT_EQ(OwnerSet(1), (std::set<std::string>{""}));
}

TEST_F(ForwardingTablesTest, CountsEverySlotOfTheFirstGenerationAsChanged) {
  Publish(TwoServices());
  EXPECT_EQ(stats_.services_rebuilt, 2U);
  EXPECT_EQ(stats_.services_shared, 0U);
  EXPECT_EQ(stats_.slots_changed, 502U);
}

TEST_F(ForwardingTablesTest, SharesTheSlotsOfServicesThatDidNotChange) {
  SnapshotInput input = TwoServices();
  Publish(input);
  const std::shared_ptr<const SlotTable> dns = Service(0).slot_table;
  const std::shared_ptr<const SlotTable> web = Service(1).slot_table;
  input.services[1].backends[0].weight = 2;
  Publish(input);
  EXPECT_EQ(Service(0).slot_table, dns);
  EXPECT_NE(Service(1).slot_table, web);
  EXPECT_EQ(Service(0).slots, dns->words());
  EXPECT_EQ(stats_.services_shared, 1U);
  EXPECT_EQ(stats_.services_rebuilt, 1U);
  EXPECT_GT(stats_.slots_changed, 0U);
  EXPECT_LT(stats_.slots_changed, 251U);
}

// Changes that do not affect the owners make no new slots.
TEST_F(ForwardingTablesTest, SharesSlotsAcrossChangesThatMoveNoOwner) {
  SnapshotInput input = TwoServices();
  SnapshotService& web = input.services[1];
  web.backends.push_back(MakeBackend(6, "2001:db8:1::14", 3, BackendState::kDraining));
  Publish(input);
  const std::shared_ptr<const SlotTable> slots = Service(1).slot_table;
  web.backends[0].next_hop =
      SnapshotNextHop{MacAddress::Parse("02:00:00:00:00:0b").value(), 0, "wan"};
  web.backends[3].state = BackendState::kDown;
  web.tracking_tcp = Tracking::kNone;
  web.idle_timeout_tcp_ms = 1000;
  Publish(input);
  EXPECT_EQ(Service(1).slot_table, slots);
  web.backends.pop_back();  // sorted last, so that no other index changes
  Publish(input);
  EXPECT_EQ(Service(1).slot_table, slots);
  EXPECT_EQ(stats_.slots_changed, 0U);
}

struct RebuildRow {
  const char* name;
  void (*change)(SnapshotInput*);
};

class Rebuild : public ForwardingTablesTest, public ::testing::WithParamInterface<RebuildRow> {};

TEST_P(Rebuild, MakesANewSlotTable) {
  SnapshotInput input = TwoServices();
  Publish(input);
  const std::shared_ptr<const SlotTable> slots = Service(1).slot_table;
  GetParam().change(&input);
  Publish(input);
  ASSERT_EQ(Service(1).name, "web");
  EXPECT_NE(Service(1).slot_table, slots);
  EXPECT_GE(stats_.services_rebuilt, 1U);
  // The owners are the same as those of a dataplane that starts now.
  const std::vector<std::string> incremental = Owners(1);
  tables_ = nullptr;
  Publish(input);
  EXPECT_EQ(Owners(1), incremental);
}

const RebuildRow kRebuildRows[] = {
    {"ForAnotherSeed", [](SnapshotInput* input) { input->hash_seed = 99; }},
    {"ForAnotherSlotCount", [](SnapshotInput* input) { input->services[1].slot_count = 257; }},
    {"ForAnotherWeight", [](SnapshotInput* input) { input->services[1].backends[0].weight = 7; }},
    {"ForADrain",
     [](SnapshotInput* input) { input->services[1].backends[0].state = BackendState::kDraining; }},
    {"ForABackendThatGoesDown",
     [](SnapshotInput* input) { input->services[1].backends[2].state = BackendState::kDown; }},
    {"ForARemoval",
     [](SnapshotInput* input) {
       input->services[1].backends.erase(input->services[1].backends.begin());
     }},
    {"ForARemovalAtTheEnd", [](SnapshotInput* input) { input->services[1].backends.pop_back(); }},
    {"ForAnAddition",
     [](SnapshotInput* input) {
       input->services[1].backends.push_back(MakeBackend(9, "2001:db8:1::99"));
     }},
    {"ForAnotherAddress",
     [](SnapshotInput* input) { input->services[1].backends[0] = MakeBackend(3, "10.0.0.10"); }},
    {"ForAServiceOfAnotherId", [](SnapshotInput* input) { input->services[1].id = 21; }},
};

INSTANTIATE_TEST_SUITE_P(Changes, Rebuild, ::testing::ValuesIn(kRebuildRows),
                         [](const auto& row) { return std::string(row.param.name); });

// A draining backend sorts before the others. Its removal shifts indices, but no owner.
TEST_F(ForwardingTablesTest, KeepsOwnersWhenTheirIndicesShift) {
  SnapshotInput input = TwoServices();
  SnapshotService& web = input.services[1];
  web.backends.push_back(MakeBackend(9, "10.0.0.1", 1, BackendState::kDraining));
  Publish(input);
  const std::vector<std::string> before = Owners(1);
  ASSERT_EQ(tables_->backends()[Service(1).first_backend].id, 9U);
  web.backends.pop_back();
  Publish(input);
  EXPECT_EQ(Owners(1), before);
  EXPECT_EQ(stats_.slots_changed, 0U);
}

TEST_F(ForwardingTablesTest, GivesSlotsByEndpointAndSeedOnly) {
  SnapshotInput input = TwoServices();
  Publish(input);
  const std::vector<std::string> owners = Owners(1);
  std::swap(input.services[1].backends[0], input.services[1].backends[1]);
  for (SnapshotBackend& backend : input.services[1].backends) backend.id += 100;
  tables_ = nullptr;
  Publish(input);
  EXPECT_EQ(Owners(1), owners);
}

TEST_F(ForwardingTablesTest, CountsTheSlotsOfADrainedBackendAsChanged) {
  SnapshotInput input = TwoServices();
  Publish(input);
  const std::vector<std::string> before = Owners(1);
  input.services[1].backends[0].state = BackendState::kDraining;
  Publish(input);
  const std::vector<std::string> after = Owners(1);
  uint32_t changed = 0;
  for (size_t i = 0; i < before.size(); ++i) changed += before[i] != after[i] ? 1 : 0;
  EXPECT_EQ(stats_.slots_changed, changed);
  EXPECT_FALSE(OwnerSet(1).contains("10.0.0.11"));
}

TEST_F(ForwardingTablesTest, TakesTAsTheLongestTimeoutOfTheServicesProtocols) {
  SnapshotInput input = TwoServices();
  SnapshotService& web = input.services[1];
  web.frontends = {Frontend::Parse("203.0.113.10:80/tcp").value()};
  web.idle_timeout_tcp_ms = 10'000;
  web.idle_timeout_udp_ms = 20'000;
  Publish(input);
  EXPECT_EQ(Service(1).idle_ticks, 10 * kTicksPerSecond);
  web.frontends.push_back(Frontend::Parse("203.0.113.10:80/udp").value());
  Publish(input);
  EXPECT_EQ(Service(1).idle_ticks, 20 * kTicksPerSecond);
}

TEST_F(ForwardingTablesTest, ShiftsTheSlotsOfADrainedBackend) {
  SnapshotInput input = TwoServices();
  Publish(input);
  EXPECT_TRUE(Service(1).slot_table->all_settled());
  const uint32_t id = tables_->backends()[Service(1).first_backend].id;
  now_tick_ = 77;
  SetState(&input.services[1], id, BackendState::kDraining);
  Publish(input);
  const SlotTable& slots = *Service(1).slot_table;
  EXPECT_GT(slots.shifting_count_of(0), slots.size() / 8);
  // Maglev also moves a few slots between the other backends.
  EXPECT_GE(slots.shifting_count(), slots.shifting_count_of(0));
  EXPECT_EQ(slots.unsettled().front().since_tick, 77U);
  // The backend goes down: the owners and the slot table are the same, and slots still shift.
  SetState(&input.services[1], id, BackendState::kDown);
  Publish(input);
  EXPECT_EQ(Service(1).slot_table.get(), &slots);
}

// Slots that are not settled refer to backends that own no slots. They must follow new indices.
TEST_F(ForwardingTablesTest, FollowsAStableOwnerWhoseIndexChanges) {
  SnapshotInput input = TwoServices();
  SnapshotService& web = input.services[1];
  web.backends.push_back(MakeBackend(9, "10.0.0.1", 1, BackendState::kDraining));
  web.backends.push_back(MakeBackend(8, "10.0.0.99", 1));
  Publish(input);
  SetState(&web, 8, BackendState::kDraining);
  Publish(input);
  // By shifting slot, the id of its stable owner.
  const auto stable_ids = [&] {
    std::map<uint32_t, uint32_t> ids;
    for (const UnsettledSlot& unsettled : Service(1).slot_table->unsettled()) {
      const Slot slot = Service(1).slot_table->Load(unsettled.index);
      if (slot.state != SlotState::kShifting) continue;
      ids[unsettled.index] = tables_->backends()[Service(1).first_backend + slot.stable].id;
    }
    return ids;
  };
  std::map<uint32_t, uint32_t> expected = stable_ids();
  ASSERT_GT(std::erase_if(expected, [](const auto& slot) { return slot.second == 8; }), 20U);
  expected = stable_ids();
  std::erase_if(web.backends, [](const SnapshotBackend& backend) { return backend.id == 9; });
  Publish(input);
  EXPECT_EQ(stable_ids(), expected);
  // The stable owner is removed: its slots are no longer shifting.
  std::erase_if(web.backends, [](const SnapshotBackend& backend) { return backend.id == 8; });
  std::erase_if(expected, [](const auto& slot) { return slot.second == 8; });
  Publish(input);
  EXPECT_EQ(stable_ids(), expected);
  EXPECT_GT(Service(1).slot_table->pinned_count(), 20U);
}

// As after a restart of the dataplane: the same snapshot, no earlier tables.
TEST_F(ForwardingTablesTest, TakesOverSlotStatesOfAnEarlierProcess) {
  SnapshotInput input = TwoServices();
  Publish(input);
  now_tick_ = 100;
  SetState(&input.services[1], 3, BackendState::kDraining);
  Publish(input);
  const std::vector<SavedSlots> saved = {tables_->SaveSlots(Service(1))};
  ASSERT_GT(saved[0].slots.size(), 20U);
  std::map<uint32_t, Slot> before;
  for (const UnsettledSlot& slot : Service(1).slot_table->unsettled()) {
    before[slot.index] = Service(1).slot_table->Load(slot.index);
  }
  const auto restart = [&](uint32_t now_tick) {
    const SnapshotImage image = BuildSnapshot(input).value();
    tables_ = ForwardingTables::Build(SnapshotView(image.bytes()), {nullptr, now_tick, saved},
                                      ports_, &backend_indices_, &service_indices_, &stats_)
                  .value();
  };
  restart(150);
  ASSERT_EQ(Service(1).slot_table->unsettled().size(), before.size());
  for (const UnsettledSlot& slot : Service(1).slot_table->unsettled()) {
    EXPECT_EQ(Service(1).slot_table->Load(slot.index), before[slot.index]);
    EXPECT_EQ(slot.since_tick, 100U);
  }
  // T also ran while there was no process.
  restart(100 + Service(1).idle_ticks + 1);
  EXPECT_EQ(Service(1).slot_table->shifting_count(), 0U);
  EXPECT_EQ(Service(1).slot_table->pinned_count(), before.size());
  // With another hash seed, flows select other slots, so the saved states are useless.
  input.hash_seed += 1;
  restart(150);
  EXPECT_TRUE(Service(1).slot_table->all_settled());
}

TEST_F(ForwardingTablesTest, TakesOverFormerOwnersOfAnEarlierProcess) {
  SnapshotInput input = TwoServices();
  SnapshotService& web = input.services[1];
  web.mode = ForwardingMode::kGue;
  web.gue_port = 6080;
  web.flags |= kServiceSecondChance;
  Publish(input);
  for (const uint32_t drained : {3U, 4U}) {
    now_tick_ += 100;
    SetState(&web, drained, BackendState::kDraining);
    Publish(input);
  }
  const auto formers = [&] {
    std::map<uint32_t, std::vector<uint32_t>> found;  // ids and ticks, by slot
    for (const UnsettledSlot& slot : Service(1).slot_table->unsettled()) {
      const SlotFormers* of = Service(1).slot_table->FormersOf(slot.index);
      for (uint32_t n = 0; of != nullptr && n < kMaxFormers; ++n) {
        if (of->owners[n] == kNoOwner) break;
        found[slot.index].push_back(
            tables_->backends()[Service(1).first_backend + of->owners[n]].id);
        found[slot.index].push_back(of->until_tick[n]);
      }
    }
    return found;
  };
  const auto before = formers();
  ASSERT_GT(before.size(), 20U);
  const std::vector<SavedSlots> saved = {tables_->SaveSlots(Service(1))};
  tables_.reset();
  const SnapshotImage image = BuildSnapshot(input).value();
  tables_ = ForwardingTables::Build(SnapshotView(image.bytes()), {nullptr, now_tick_ + 50, saved},
                                    ports_, &backend_indices_, &service_indices_, &stats_)
                .value();
  EXPECT_EQ(formers(), before);
}

TEST_F(ForwardingTablesTest, KeepsNoSlotStatesWithoutTracking) {
  SnapshotInput input = TwoServices();
  input.services[1].tracking_tcp = Tracking::kNone;
  input.services[1].tracking_udp = Tracking::kNone;
  Publish(input);
  input.services[1].backends[0].state = BackendState::kDraining;
  Publish(input);
  EXPECT_GT(stats_.slots_changed, 0U);
  EXPECT_TRUE(Service(1).slot_table->all_settled());
}

TEST_F(ForwardingTablesTest, StartsSettledWhenFlowsSelectOtherSlots) {
  SnapshotInput input = TwoServices();
  Publish(input);
  input.services[1].backends[0].state = BackendState::kDraining;
  Publish(input);
  ASSERT_FALSE(Service(1).slot_table->all_settled());
  input.services[1].hash_policy = HashPolicy::kSourceIp;
  Publish(input);
  EXPECT_TRUE(Service(1).slot_table->all_settled());
}

TEST_F(ForwardingTablesTest, KeepsSharedSlotsAfterTheEarlierGenerationIsFreed) {
  Publish(TwoServices());
  Publish(TwoServices());  // frees the first
  EXPECT_EQ(stats_.services_shared, 2U);
  EXPECT_EQ(OwnerSet(1).size(), 3U);
}

TEST(CounterIndices, GivesEachIdOneIndex) {
  CounterIndices indexes(10);
  EXPECT_EQ(indexes.Assign(700), 0U);
  EXPECT_EQ(indexes.Assign(5), 1U);
  EXPECT_EQ(indexes.Assign(700), 0U);
}

TEST(CounterIndices, ReturnsFreedIndexesAndReusesThem) {
  CounterIndices indexes(3);
  for (const uint32_t id : {30U, 10U, 20U}) indexes.Assign(id);
  EXPECT_EQ(indexes.Retain([](uint32_t id) { return id == 10; }), (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ(indexes.Assign(10), 1U);
  EXPECT_EQ(indexes.Assign(40), 0U);
  EXPECT_EQ(indexes.Assign(50), 2U);
  EXPECT_EQ(indexes.Assign(60), kNoIndex);
}

TEST(CounterIndices, RefusesOnlyNewIdsWhenFull) {
  CounterIndices indexes(1);
  EXPECT_EQ(indexes.Assign(7), 0U);
  EXPECT_EQ(indexes.Assign(8), kNoIndex);
  EXPECT_EQ(indexes.Assign(7), 0U);
  EXPECT_TRUE(indexes.Retain([](uint32_t id) { return id == 7; }).empty());
}

}  // namespace
}  // namespace fairlead
