#include "dataplane/steering/steering_set.h"

#include <set>

#include <gtest/gtest.h>

#include "lib/snapshot/builder.h"

namespace fairlead {
namespace {

SnapshotService MakeService(const char* name, ForwardingMode mode,
                            std::initializer_list<const char*> frontends,
                            std::initializer_list<const char*> backends) {
  static uint32_t next_id = 0;
  SnapshotService service;
  service.id = ++next_id;
  service.name = name;
  service.mode = mode;
  for (const char* text : frontends) service.frontends.push_back(Frontend::Parse(text).value());
  for (const char* text : backends) {
    SnapshotBackend backend;
    backend.id = ++next_id;
    backend.endpoint = Endpoint::Parse(text).value();
    service.backends.push_back(backend);
  }
  return service;
}

SteeringSet SetOf(std::vector<SnapshotService> services) {
  const SnapshotImage image =
      BuildSnapshot({.generation = 1, .hash_seed = 1, .services = std::move(services)}).value();
  return SteeringSetOf(SnapshotView(image.bytes()));
}

// As text. Order and duplicates do not matter.
std::set<std::string> FrontendsOf(const SteeringSet& set) {
  std::set<std::string> texts;
  for (const IpAddress& address : set.frontends) texts.insert(address.ToString());
  return texts;
}
std::set<std::string> SourcesOf(const SteeringSet& set) {
  std::set<std::string> texts;
  for (const NatSource& source : set.sources) {
    texts.insert(
        Frontend{source.address, source.port, source.protocol, source.last_port}.ToString());
  }
  return texts;
}

using Texts = std::set<std::string>;

TEST(SteeringSetTest, HasTheAddressesOfAllFrontends) {
  const SteeringSet set = SetOf({MakeService(
      "web", ForwardingMode::kDsr,
      {"203.0.113.10:80/tcp", "203.0.113.10:443/tcp", "[2001:db8::10]:80/tcp"}, {"10.0.0.11"})});
  EXPECT_EQ(FrontendsOf(set), (Texts{"203.0.113.10", "2001:db8::10"}));
  EXPECT_EQ(SourcesOf(set), Texts{});
}

TEST(SteeringSetTest, NatBackendsAnswerFromTheirOwnPort) {
  const SteeringSet set = SetOf(
      {MakeService("web", ForwardingMode::kNat, {"203.0.113.10:80/tcp", "203.0.113.10:53/udp"},
                   {"10.0.0.11:8080", "10.0.0.12:8081"})});
  EXPECT_EQ(SourcesOf(set), (Texts{"10.0.0.11:8080/tcp", "10.0.0.11:8080/udp", "10.0.0.12:8081/tcp",
                                   "10.0.0.12:8081/udp"}));
}

TEST(SteeringSetTest, NatBackendsWithoutAPortAnswerFromTheFrontends) {
  const SteeringSet set = SetOf({MakeService(
      "web", ForwardingMode::kNat,
      {"203.0.113.10:80/tcp", "203.0.113.10:443/tcp", "203.0.113.10:0/udp"}, {"10.0.0.11"})});
  EXPECT_EQ(SourcesOf(set), (Texts{"10.0.0.11:80/tcp", "10.0.0.11:443/tcp", "10.0.0.11:0/udp"}));
}

TEST(SteeringSetTest, NatBackendsOfARangeAnswerFromTheWholeRange) {
  const SteeringSet set = SetOf(
      {MakeService("web", ForwardingMode::kNat, {"203.0.113.10:8000-8999/tcp"}, {"10.0.0.11"})});
  EXPECT_EQ(SourcesOf(set), Texts{"10.0.0.11:8000-8999/tcp"});
}

TEST(SteeringSetTest, HasNoSourcesOfOtherModes) {
  for (const ForwardingMode mode : {ForwardingMode::kDsr, ForwardingMode::kIpip}) {
    EXPECT_EQ(SourcesOf(SetOf({MakeService("web", mode, {"203.0.113.10:80/tcp"}, {"10.0.0.11"})})),
              Texts{});
  }
}

TEST(SteeringSetTest, NatBackendsThatAreDownStayBecauseOfTheirFlows) {
  SnapshotService service =
      MakeService("web", ForwardingMode::kNat, {"203.0.113.10:80/tcp"}, {"10.0.0.11"});
  service.backends[0].state = BackendState::kDown;
  EXPECT_EQ(SourcesOf(SetOf({service})), Texts{"10.0.0.11:80/tcp"});
}

}  // namespace
}  // namespace fairlead
