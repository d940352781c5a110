#include "lib/snapshot/builder.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/snapshot/view.h"
#include "tests/unit/snapshot/sample.h"

namespace fairlead {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MakeBackend;
using testing::MakeFrontend;
using testing::SampleInput;

std::vector<std::byte> BytesOf(const SnapshotInput& input) {
  const SnapshotImage image = BuildSnapshot(input).value();
  return {image.bytes().begin(), image.bytes().end()};
}

TEST(BuildSnapshot, ViewReturnsTheInput) {
  const SnapshotImage image = BuildSnapshot(SampleInput()).value();
  const SnapshotView view(image.bytes());
  EXPECT_EQ(view.header().generation, 7U);
  EXPECT_EQ(view.header().hash_seed, 0x1234U);
  ASSERT_EQ(view.services().size(), 2U);
  const ServiceRecord& dns = view.services()[0];
  const ServiceRecord& web = view.services()[1];
  EXPECT_EQ(view.name_of(dns), "dns");
  EXPECT_EQ(view.name_of(web), "web");
  EXPECT_EQ(web.id, 20U);
  EXPECT_EQ(static_cast<ForwardingMode>(dns.mode), ForwardingMode::kNat);
  EXPECT_EQ(static_cast<HashPolicy>(dns.hash_policy), HashPolicy::kSourceIp);
  EXPECT_EQ(static_cast<Tracking>(dns.tracking_tcp), Tracking::kNone);
  EXPECT_EQ(web.slot_count, kDefaultSlotCount);
  EXPECT_EQ(web.idle_timeout_tcp_ms, 350'000U);
  EXPECT_EQ(web.idle_timeout_udp_ms, 120'000U);
}

TEST(BuildSnapshot, SortsBackendsByEndpointWithinTheirService) {
  const SnapshotImage image = BuildSnapshot(SampleInput()).value();
  const SnapshotView view(image.bytes());
  std::vector<uint32_t> ids;
  for (const BackendRecord& backend : view.backends_of(view.services()[1])) {
    ids.push_back(backend.id);
  }
  EXPECT_THAT(ids, ElementsAre(2U, 3U, 4U));
  const BackendRecord& first = view.backends_of(view.services()[1])[0];
  EXPECT_EQ(AddressOf(first).ToString(), "10.0.0.11");
  EXPECT_EQ(first.weight, 2);
  EXPECT_EQ(view.backends_of(view.services()[0])[0].port, 5353);
}

TEST(BuildSnapshot, SortsFrontendsByAddressProtocolPort) {
  const SnapshotImage image = BuildSnapshot(SampleInput()).value();
  const SnapshotView view(image.bytes());
  std::vector<std::string> text;
  for (const FrontendRecord& record : view.frontends()) {
    text.push_back(FrontendOf(record).ToString());
  }
  EXPECT_THAT(text, ElementsAre("203.0.113.10:80/tcp", "203.0.113.10:443/tcp",
                                "203.0.113.10:53/udp", "[2001:db8::10]:80/tcp"));
}

TEST(BuildSnapshot, KeepsTheChangeId) {
  SnapshotInput input = SampleInput();
  input.change_id = 0x123456789abcdef1;
  const SnapshotImage image = BuildSnapshot(input).value();
  EXPECT_EQ(SnapshotView(image.bytes()).header().change_id, 0x123456789abcdef1U);
}

TEST(BuildSnapshot, SortsWiderPortRangesFirst) {
  SnapshotInput input = SampleInput();
  input.services[0].frontends.clear();
  for (const char* text : {"203.0.113.10:80/tcp", "203.0.113.10:80-90/tcp",
                           "203.0.113.10:80-99/tcp", "203.0.113.10:81-85/tcp"}) {
    input.services[0].frontends.push_back(Frontend::Parse(text).value());
  }
  input.services.resize(1);
  const SnapshotImage image = BuildSnapshot(input).value();
  std::vector<std::string> text;
  for (const FrontendRecord& record : SnapshotView(image.bytes()).frontends()) {
    text.push_back(FrontendOf(record).ToString());
  }
  EXPECT_THAT(text, ElementsAre("203.0.113.10:80-99/tcp", "203.0.113.10:80-90/tcp",
                                "203.0.113.10:80/tcp", "203.0.113.10:81-85/tcp"));
}

TEST(BuildSnapshot, SharesEqualNextHops) {
  const SnapshotImage image = BuildSnapshot(SampleInput()).value();
  const SnapshotView view(image.bytes());
  ASSERT_EQ(view.next_hops().size(), 2U);
  const BackendRecord& dns = view.backends_of(view.services()[0])[0];
  const auto web = view.backends_of(view.services()[1]);
  EXPECT_EQ(dns.next_hop_index, web[0].next_hop_index);
  EXPECT_NE(dns.next_hop_index, web[1].next_hop_index);
  EXPECT_EQ(web[2].next_hop_index, kNoNextHop);
  const NextHopRecord& hop = view.next_hops()[dns.next_hop_index];
  EXPECT_EQ(hop.vlan, 7);
  EXPECT_STREQ(hop.interface, "eth1");
}

TEST(BuildSnapshot, SharesTheClientsNextHopsWithTheBackends) {
  SnapshotInput input = SampleInput();
  EXPECT_EQ(SnapshotView(BuildSnapshot(input).value().bytes()).header().client_next_hop_v4,
            kNoNextHop);
  input.client_next_hop_v4 = input.services[0].backends[0].next_hop;
  input.client_next_hop_v6 = SnapshotNextHop{testing::MakeMac("02:00:00:00:00:fe"), 3, "eth0"};
  const SnapshotImage image = BuildSnapshot(input).value();
  const SnapshotView view(image.bytes());
  ASSERT_EQ(view.next_hops().size(), 3U);
  EXPECT_EQ(view.next_hops()[view.header().client_next_hop_v4].mac[5], 0x0c);
  EXPECT_EQ(view.next_hops()[view.header().client_next_hop_v6].mac[5], 0xfe);
  EXPECT_EQ(view.next_hops()[view.header().client_next_hop_v6].vlan, 3);
  input.client_next_hop_v6->interface = std::string(16, 'x');
  EXPECT_FALSE(BuildSnapshot(input).ok());
}

TEST(BuildSnapshot, WritesAServicesFlags) {
  SnapshotInput input = SampleInput();
  input.services[1].flags = kServiceMssClamp | kServiceDropTooBig;  // dns, nat
  const SnapshotImage image = BuildSnapshot(input).value();
  EXPECT_EQ(SnapshotView(image.bytes()).services()[0].flags, 5U);
}

TEST(BuildSnapshot, GivesTheSameBytesWhateverTheOrderOfTheInput) {
  const SnapshotInput input = SampleInput();
  SnapshotInput shuffled = input;
  std::reverse(shuffled.services.begin(), shuffled.services.end());
  for (SnapshotService& service : shuffled.services) {
    std::reverse(service.frontends.begin(), service.frontends.end());
    std::reverse(service.backends.begin(), service.backends.end());
  }
  EXPECT_EQ(BytesOf(shuffled), BytesOf(input));
}

TEST(BuildSnapshot, AnotherGenerationChangesTheHeaderOnly) {
  SnapshotInput input = SampleInput();
  const std::vector<std::byte> before = BytesOf(input);
  input.generation = 8;
  const std::vector<std::byte> after = BytesOf(input);
  ASSERT_EQ(after.size(), before.size());
  EXPECT_NE(after, before);
  EXPECT_TRUE(std::equal(after.begin() + sizeof(SnapshotHeader), after.end(),
                         before.begin() + sizeof(SnapshotHeader)));
}

TEST(BuildSnapshot, AnEmptyIntentGivesAnImage) {
  const SnapshotImage image = BuildSnapshot({}).value();
  EXPECT_EQ(image.bytes().size(), sizeof(SnapshotHeader));
  EXPECT_TRUE(SnapshotView(image.bytes()).services().empty());
}

TEST(BuildSnapshot, AServiceMayHaveNoBackend) {
  SnapshotInput input = SampleInput();
  input.services[0].backends.clear();
  EXPECT_TRUE(BuildSnapshot(input).ok());
}

struct RefusedInput {
  const char* name;
  void (*change)(SnapshotInput*);
  const char* message;
};

const RefusedInput kRefusedInputs[] = {
    {"TwoServicesWithOneName", [](SnapshotInput* input) { input->services[1].name = "web"; },
     "services[1].name: web appears twice"},
    {"TwoServicesWithOneId", [](SnapshotInput* input) { input->services[1].id = 20; },
     "services[1].id: 20 is also that of services[0]"},
    {"OneFrontendOfTwoServices",
     [](SnapshotInput* input) {
       input->services[1].frontends.push_back(MakeFrontend("203.0.113.10:80/tcp"));
     },
     "203.0.113.10 port 80/tcp appears twice"},
    {"OneBackendTwice",
     [](SnapshotInput* input) {
       input->services[0].backends.push_back(MakeBackend(9, "10.0.0.11"));
     },
     "10.0.0.11 port 0 appears twice"},
    {"TwoBackendsWithOneId", [](SnapshotInput* input) { input->services[0].backends[0].id = 1; },
     "id: 1 is also that of backends[0]"},
    {"InterfaceNameTooLong",
     [](SnapshotInput* input) {
       input->services[0].backends[0].next_hop->interface = "sixteen-bytes-xx";
     },
     "sixteen-bytes-xx is longer than 15 bytes"},
    {"ServiceNameTooLong",
     [](SnapshotInput* input) { input->services[0].name = std::string(256, 'x'); },
     "longer than 255"},
    {"WeightTooLarge", [](SnapshotInput* input) { input->services[0].backends[0].weight = 1001; },
     "weight: 1001 is not within 0..1000"},
    {"PortUnderDsr",
     [](SnapshotInput* input) { input->services[0].backends[0].endpoint.port = 8080; },
     "port: 8080 is set, but mode dsr cannot change"},
};

class BuildSnapshotRefuses : public ::testing::TestWithParam<RefusedInput> {};

TEST_P(BuildSnapshotRefuses, AndSaysWhy) {
  SnapshotInput input = SampleInput();
  GetParam().change(&input);
  const Result<SnapshotImage> image = BuildSnapshot(input);
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.status().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(image.status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Inputs, BuildSnapshotRefuses, ::testing::ValuesIn(kRefusedInputs),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(LoadSnapshot, AcceptsBytesOfAnyAlignment) {
  const std::vector<std::byte> good = BytesOf(SampleInput());
  std::vector<std::byte> shifted(good.size() + 1);
  std::copy(good.begin(), good.end(), shifted.begin() + 1);
  const Result<SnapshotImage> image = LoadSnapshot(std::span(shifted).subspan(1));
  ASSERT_TRUE(image.ok()) << image.status().message();
  EXPECT_TRUE(std::equal(good.begin(), good.end(), image->bytes().begin(), image->bytes().end()));
}

TEST(LoadSnapshot, RefusesEveryShorterImage) {
  const std::vector<std::byte> good = BytesOf(SampleInput());
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(LoadSnapshot(std::span(good).first(length)).ok()) << length;
  }
}

TEST(LoadSnapshot, RefusesBytesAfterTheImage) {
  std::vector<std::byte> longer = BytesOf(SampleInput());
  for (int i = 0; i < 16; ++i) {
    longer.push_back(std::byte{0});
    EXPECT_FALSE(LoadSnapshot(longer).ok()) << i;
  }
}

}  // namespace
}  // namespace fairlead
