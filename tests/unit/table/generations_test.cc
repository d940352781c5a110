// Tables of a new generation take over what did not change. After any change they must equal tables
// that are built from scratch.
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/table/tables.h"

namespace fairlead {
namespace {

using testing::MakeBackend;
using testing::MakeService;

class GenerationsTest : public testing::TablesFixture {
 protected:
  static constexpr uint32_t kServices = 6;
  static constexpr uint32_t kBackends = 12;

  uint32_t Random(uint32_t below) { return static_cast<uint32_t>(random_()) % below; }

  // Some of the services, each with some of its backends. Sometimes the services have other names
  // (and so another order), and sometimes the backends belong to other services.
  SnapshotInput RandomInput() {
    SnapshotInput input{.generation = ++generation_, .hash_seed = 1, .services = {}};
    const uint32_t home_offset = Random(3) == 0 ? 1 + Random(kServices) : 0;
    const bool renamed = Random(4) == 0;
    for (uint32_t s = 1; s <= kServices; ++s) {
      if (Random(8) == 0) continue;
      std::vector<SnapshotBackend> backends;
      for (uint32_t b = 1; b <= kBackends; ++b) {
        if (Random(16) == 0) continue;
        const uint32_t home = home_offset == 0 ? s : 1 + (s + home_offset) % kServices;
        const uint32_t id = (home * kBackends + b) * 0x9e3779b1;
        const std::string endpoint = "10.0." + std::to_string(s) + "." + std::to_string(b);
        backends.push_back(MakeBackend(id, endpoint));
        if (Random(8) == 0) backends.back().weight = 2;
        if (Random(8) == 0) backends.back().state = BackendState::kDraining;
      }
      if (Random(4) == 0) {  // no backend can be reached
        for (SnapshotBackend& backend : backends) {
          backend.next_hop = SnapshotNextHop{{{2, 0, 0, 0, 0, 1}}, 0, "nowhere"};
        }
      }
      const std::string name = std::string(1, static_cast<char>(renamed ? 'z' - s : 'a' + s));
      const std::string frontend = "203.0.113." + std::to_string(s) + ":80/tcp";
      input.services.push_back(MakeService(100 + s, name, frontend, backends));
      input.services.back().tracking_tcp = Tracking::kNone;  // slots depend on the owners only
      input.services.back().tracking_udp = Tracking::kNone;
    }
    return input;
  }

  void ExpectSameBackends(const ForwardingTables& fresh) const {
    ASSERT_EQ(tables_->backends().size(), fresh.backends().size());
    for (size_t i = 0; i < fresh.backends().size(); ++i) {
      BackendEntry entry = tables_->backends()[i];
      ASSERT_EQ(tables_->FindBackend(entry.id), &tables_->backends()[i]);
      entry.counter_index = fresh.backends()[i].counter_index;  // checked separately
      ASSERT_EQ(std::memcmp(&entry, &fresh.backends()[i], sizeof(entry)), 0) << "backend " << i;
    }
    ASSERT_EQ(tables_->has_tunnels(), fresh.has_tunnels());
    for (uint32_t i = 0; fresh.has_tunnels() && i < fresh.backends().size(); ++i) {
      ASSERT_EQ(std::memcmp(&tables_->tunnel(i), &fresh.tunnel(i), sizeof(TunnelTemplate)), 0)
          << "tunnel " << i;
    }
  }

  void ExpectSameSlots(const ForwardingTables& fresh) const {
    ASSERT_EQ(tables_->services().size(), fresh.services().size());
    for (size_t s = 0; s < fresh.services().size(); ++s) {
      ASSERT_EQ(tables_->services()[s].id, fresh.services()[s].id);
      for (uint32_t i = 0; i < fresh.services()[s].slot_count; ++i) {
        ASSERT_EQ(tables_->services()[s].slots[i].load(), fresh.services()[s].slots[i].load())
            << "service " << s << ", slot " << i;
      }
    }
  }

  // Checks that each id keeps its counter index, and that no two ids share one.
  void ExpectCountersKept(std::map<uint32_t, uint32_t>* indexes, const auto& entries) const {
    std::map<uint32_t, uint32_t> now;
    std::set<uint32_t> taken;
    for (const auto& entry : entries) {
      const auto before = indexes->find(entry.id);
      if (before != indexes->end()) {
        ASSERT_EQ(entry.counter_index, before->second) << entry.id;
      }
      ASSERT_TRUE(taken.insert(entry.counter_index).second) << entry.id;
      now[entry.id] = entry.counter_index;
    }
    *indexes = now;
  }

  // As the publisher does once a generation is in force.
  void ReleaseCounters() {
    backend_indices_.Retain([&](uint32_t id) { return tables_->FindBackend(id) != nullptr; });
    service_indices_.Retain([&](uint32_t id) {
      for (const ServiceEntry& service : tables_->services()) {
        if (service.id == id) return true;
      }
      return false;
    });
  }

  // A new random input or, most often, the last one with the backends of a service or two changed.
  SnapshotInput Next() {
    SnapshotInput fresh = RandomInput();
    if (!by_difference_ || last_.services.empty() || Random(4) == 0) return last_ = fresh;
    SnapshotInput next = last_;
    next.generation = fresh.generation;
    for (uint32_t n = 0; n <= Random(2); ++n) {
      if (next.services.empty() || fresh.services.empty()) break;
      SnapshotService& service = next.services[Random(static_cast<uint32_t>(next.services.size()))];
      for (const SnapshotService& other : fresh.services) {
        if (other.id != service.id) continue;
        std::set<uint32_t> taken;
        for (const SnapshotService& each : next.services) {
          if (each.id == service.id) continue;
          for (const SnapshotBackend& backend : each.backends) taken.insert(backend.id);
        }
        service.mode = Random(3) == 0 ? ForwardingMode::kIpip : ForwardingMode::kDsr;
        service.backends = other.backends;
        std::erase_if(service.backends,
                      [&](const SnapshotBackend& backend) { return taken.contains(backend.id); });
      }
    }
    return last_ = next;
  }

  void ExpectAsBuiltFromScratch() {
    std::map<uint32_t, uint32_t> backend_indexes;
    std::map<uint32_t, uint32_t> service_indexes;
    uint32_t shared = 0;
    for (int round = 0; round < 500; ++round) {
      SCOPED_TRACE("seed 20261125, round " + std::to_string(round));
      const SnapshotInput input = Next();
      by_difference_ ? PublishByDifference(input) : Publish(input);
      shared += stats_.services_shared;
      CounterIndices others(1000);
      CounterIndices other_services(1000);
      const SnapshotImage image = BuildSnapshot(input).value();
      const auto fresh = ForwardingTables::Build(SnapshotView(image.bytes()), {}, ports_, &others,
                                                 &other_services, nullptr);
      ASSERT_NO_FATAL_FAILURE(ExpectSameBackends(**fresh));
      ASSERT_NO_FATAL_FAILURE(ExpectSameSlots(**fresh));
      ASSERT_NO_FATAL_FAILURE(ExpectCountersKept(&backend_indexes, tables_->backends()));
      ASSERT_NO_FATAL_FAILURE(ExpectCountersKept(&service_indexes, tables_->services()));
      ReleaseCounters();
      ASSERT_EQ(backend_indices_.size(), tables_->backends().size());
    }
    EXPECT_GT(shared, 0U);
  }

  bool by_difference_ = false;
  SnapshotInput last_;
  std::mt19937 random_{20261125};
  uint64_t generation_ = 0;
};

TEST_F(GenerationsTest, EqualTablesBuiltFromScratch) { ExpectAsBuiltFromScratch(); }

TEST_F(GenerationsTest, EqualTablesBuiltFromScratchIfTheDifferenceIsKnown) {
  by_difference_ = true;
  ExpectAsBuiltFromScratch();
}

TEST_F(GenerationsTest, FindBackendsWithTheIdTableOfThePreviousGeneration) {
  const SnapshotInput input = RandomInput();
  Publish(input);
  const std::unique_ptr<ForwardingTables> before = std::move(tables_);
  const SnapshotImage image = BuildSnapshot(input).value();
  tables_ = ForwardingTables::Build(SnapshotView(image.bytes()), {before.get(), 0}, ports_,
                                    &backend_indices_, &service_indices_, nullptr)
                .value();
  for (const BackendEntry& backend : tables_->backends()) {
    EXPECT_EQ(tables_->FindBackend(backend.id), &backend);
  }
}

}  // namespace
}  // namespace fairlead
