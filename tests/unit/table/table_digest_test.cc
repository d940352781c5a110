#include "lib/table/table_digest.h"

#include <functional>

#include "tests/unit/table/tables.h"

namespace fairlead {
namespace {

using testing::MakeBackend;
using testing::MakeService;

SnapshotInput Input() {
  SnapshotInput input{.generation = 1, .hash_seed = 7, .services = {}};
  input.services = {MakeService(1, "api", "203.0.113.11:80/tcp", {MakeBackend(4, "10.0.0.4")}),
                    MakeService(2, "web", "203.0.113.10:80/tcp",
                                {MakeBackend(1, "10.0.0.1"), MakeBackend(2, "10.0.0.2", 3),
                                 MakeBackend(3, "10.0.0.3", 1, BackendState::kDraining)})};
  return input;
}

uint64_t DigestOf(const SnapshotInput& input, const LeftOutBackends& left_out = {}) {
  const SnapshotImage image = BuildSnapshot(input).value();
  return TableDigest(SnapshotView(image.bytes()), left_out);
}

struct Row {
  const char* name;
  void (*change)(SnapshotInput* input);
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

const Row kSame[] = {
    {"Generation", [](SnapshotInput* input) { input->generation = 99; }},
    {"Ids", [](SnapshotInput* input) { input->services[1].backends[0].id = 77; }},
    {"NextHop",
     [](SnapshotInput* input) {
       input->services[1].backends[0].next_hop = SnapshotNextHop{{{2, 0, 0, 0, 0, 1}}, 0, "eth0"};
     }},
    {"BackendWithoutSlots", [](SnapshotInput* input) { input->services[1].backends.pop_back(); }},
    {"IdleTimeout", [](SnapshotInput* input) { input->services[1].idle_timeout_tcp_ms = 5000; }},
};
const Row kDifferent[] = {
    {"Seed", [](SnapshotInput* input) { input->hash_seed = 8; }},
    {"Weight", [](SnapshotInput* input) { input->services[1].backends[0].weight = 2; }},
    {"State",
     [](SnapshotInput* input) { input->services[1].backends[0].state = BackendState::kDown; }},
    {"Endpoint",
     [](SnapshotInput* input) {
       input->services[1].backends[0].endpoint = Endpoint::Parse("10.0.0.9").value();
     }},
    {"SlotCount", [](SnapshotInput* input) { input->services[1].slot_count = 257; }},
    {"HashPolicy",
     [](SnapshotInput* input) { input->services[1].hash_policy = HashPolicy::kSourceIp; }},
    {"Frontend", [](SnapshotInput* input) { input->services[1].frontends[0].port = 81; }},
    {"ServiceOfABackend",
     [](SnapshotInput* input) {
       auto& web = input->services[1].backends;
       input->services[0].backends.push_back(web.front());
       web.erase(web.begin());
     }},
};

class SameTable : public ::testing::TestWithParam<Row> {};
TEST_P(SameTable, HasTheSameDigest) {
  SnapshotInput input = Input();
  GetParam().change(&input);
  EXPECT_EQ(DigestOf(input), DigestOf(Input()));
}
INSTANTIATE_TEST_SUITE_P(All, SameTable, ::testing::ValuesIn(kSame),
                         [](const auto& row) { return std::string(row.param.name); });

class AnotherTable : public ::testing::TestWithParam<Row> {};
TEST_P(AnotherTable, HasAnotherDigest) {
  SnapshotInput input = Input();
  GetParam().change(&input);
  EXPECT_NE(DigestOf(input), DigestOf(Input()));
}
INSTANTIATE_TEST_SUITE_P(All, AnotherTable, ::testing::ValuesIn(kDifferent),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(TableDigest, TreatsALeftOutBackendAsRemoved) {
  SnapshotInput without = Input();
  without.services[1].backends.erase(without.services[1].backends.begin() + 1);
  EXPECT_EQ(DigestOf(Input(), {{2, LeftOut::k_mtu_too_small}}), DigestOf(without));
}

}  // namespace
}  // namespace fairlead
