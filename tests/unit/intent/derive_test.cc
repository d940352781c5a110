#include "lib/intent/derive.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/intent/json.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

using ::testing::ElementsAre;

constexpr BackendState kActive = BackendState::kActive;
constexpr BackendState kDraining = BackendState::kDraining;
constexpr BackendState kDown = BackendState::kDown;

// Service "web" with backends 10.0.0.1, 10.0.0.2, ..., each with the given observation.
class Web {
 public:
  explicit Web(std::initializer_list<ObservedBackend> observed) {
    service_.name = "web";
    service_.frontends = {Frontend::Parse("203.0.113.10:80/tcp").value()};
    for (const ObservedBackend& seen : observed) {
      const auto last = static_cast<uint8_t>(service_.backends.size() + 1);
      BackendSpec& backend = service_.backends.emplace_back();
      backend.endpoint.address = IpAddress::FromV4(std::array<uint8_t, 4>{10, 0, 0, last});
      observed_[backend.endpoint] = seen;
      observed_[backend.endpoint].id = last;
    }
  }
  ServiceSpec& service() { return service_; }
  BackendSpec& backend(size_t i) { return service_.backends[i]; }

  SnapshotService Derive() const {
    const Observations observations = {[](const ServiceSpec&) { return 77U; },
                                       [this](const ServiceSpec&, const BackendSpec& backend) {
                                         return observed_.at(backend.endpoint);
                                       }};
    IntentSpec intent;
    intent.hash_seed = 5;
    intent.services = {service_};
    SnapshotInput input = DeriveSnapshot(intent, 9, observations);
    EXPECT_EQ(input.generation, 9U);
    EXPECT_EQ(input.hash_seed, 5U);
    EXPECT_TRUE(BuildSnapshot(input).ok());
    return input.services.at(0);
  }
  std::vector<BackendState> States() const {
    std::vector<BackendState> states;
    for (const SnapshotBackend& backend : Derive().backends) states.push_back(backend.state);
    return states;
  }

 private:
  ServiceSpec service_;
  std::map<Endpoint, ObservedBackend> observed_;
};

ObservedBackend Observed(bool healthy, bool draining = false, bool released = false) {
  ObservedBackend observed;
  observed.healthy = healthy;
  observed.draining = draining;
  observed.released = released;
  return observed;
}
const ObservedBackend kHealthy = Observed(true);
const ObservedBackend kUnhealthy = Observed(false);
const ObservedBackend kKept = [] {
  ObservedBackend observed = Observed(false);
  observed.kept = true;
  return observed;
}();
const ObservedBackend kDrains = Observed(true, true);
const ObservedBackend kUnhealthyDrains = Observed(false, true);
const ObservedBackend kReleased = Observed(true, true, true);

TEST(DeriveSnapshot, PublishesHealthDrainAndReleaseAsStates) {
  EXPECT_THAT(Web({kHealthy, kUnhealthy, kDrains, kReleased, kUnhealthyDrains}).States(),
              ElementsAre(kActive, kDown, kDraining, kDown, kDown));
}

TEST(DeriveSnapshot, AnUnhealthyBackendWhoseFlowsAreKeptDrains) {
  EXPECT_THAT(Web({kHealthy, kKept}).States(), ElementsAre(kActive, kDraining));
  ObservedBackend released = kKept;
  released.released = true;
  // Fail-open uses it too when no other backend is left.
  EXPECT_THAT(Web({kKept}).States(), ElementsAre(kActive));
  EXPECT_THAT(Web({kHealthy, released}).States(), ElementsAre(kActive, kDown));
}

TEST(DeriveSnapshot, FailsOpenWhenAllAreUnhealthy) {
  EXPECT_THAT(Web({kUnhealthy, kUnhealthy}).States(), ElementsAre(kActive, kActive));
}

TEST(DeriveSnapshot, FailsClosedWhereTheServiceSaysSo) {
  Web web({kUnhealthy, kUnhealthy});
  web.service().fail_open = false;
  EXPECT_THAT(web.States(), ElementsAre(kDown, kDown));
}

TEST(DeriveSnapshot, AHealthyBackendThatDrainsDoesNotPreventFailOpen) {
  EXPECT_THAT(Web({kDrains, kUnhealthy}).States(), ElementsAre(kDraining, kActive));
}

TEST(DeriveSnapshot, AHealthyBackendOfWeightZeroDoesNotPreventFailOpen) {
  Web web({kHealthy, kUnhealthy});
  web.backend(0).weight = 0;
  EXPECT_THAT(web.States(), ElementsAre(kActive, kActive));
  EXPECT_EQ(web.Derive().backends[0].weight, 0);
}

TEST(DeriveSnapshot, AHealthyBackendThatTheDataplaneLeavesOutDoesNotPreventFailOpen) {
  ObservedBackend left_out = kHealthy;
  left_out.usable = false;
  EXPECT_THAT(Web({left_out, kUnhealthy}).States(), ElementsAre(kActive, kActive));
  EXPECT_THAT(Web({left_out, kHealthy, kUnhealthy}).States(), ElementsAre(kActive, kActive, kDown));
}

TEST(DeriveSnapshot, FailOpenDoesNotChangeDrains) {
  EXPECT_THAT(Web({kUnhealthy, kUnhealthyDrains, kReleased}).States(),
              ElementsAre(kActive, kDraining, kDown));
}

TEST(DeriveSnapshot, FailOpenNeverRaisesAWeight) {
  Web web({kUnhealthy, kUnhealthy});
  web.backend(0).weight = 0;
  web.backend(1).weight = 0;
  const SnapshotService service = web.Derive();
  EXPECT_EQ(service.backends[0].weight, 0);
  EXPECT_EQ(service.backends[1].weight, 0);
}

TEST(UseOfBackends, IsByFailOpenAndMinHealthy) {
  ServiceSpec service;
  EXPECT_EQ(UseOfBackends(service, 1, false), BackendUse::kHealthy);
  EXPECT_EQ(UseOfBackends(service, 0, false), BackendUse::kAll);
  EXPECT_EQ(UseOfBackends(service, 1, true), BackendUse::kAll);
  service.fail_open = false;
  EXPECT_EQ(UseOfBackends(service, 0, false), BackendUse::kHealthy);
  EXPECT_EQ(UseOfBackends(service, 1, true), BackendUse::kNone);
}

TEST(DeriveBackend, BelowMinHealthyAndFailingClosedKeepsFlowsOfHealthyBackendsOnly) {
  const BackendSpec spec;
  const auto state = [&](const ObservedBackend& seen, BackendUse use) {
    return DeriveBackend({}, {&spec, seen}, use).state;
  };
  EXPECT_EQ(state(kHealthy, BackendUse::kNone), kDraining);
  EXPECT_EQ(state(kUnhealthy, BackendUse::kNone), kDown);
  EXPECT_EQ(state(kKept, BackendUse::kNone), kDraining);
  EXPECT_EQ(state(kReleased, BackendUse::kNone), kDown);
  EXPECT_EQ(state(kHealthy, BackendUse::kAll), kActive);
  EXPECT_EQ(state(kUnhealthy, BackendUse::kAll), kActive);
}

TEST(DeriveSnapshot, TracksTcpAdaptivelyAndAllOfUdpByDefault) {
  Web web({kHealthy});
  EXPECT_EQ(web.Derive().tracking_tcp, Tracking::kAdaptive);
  EXPECT_EQ(web.Derive().tracking_udp, Tracking::kAll);
  EXPECT_EQ(web.Derive().idle_timeout_tcp_ms, 350'000U);
  EXPECT_EQ(web.Derive().idle_timeout_udp_ms, 120'000U);
  web.service().tracking = Tracking::kNone;
  web.service().idle_timeout_ms = 5000;
  EXPECT_EQ(web.Derive().tracking_tcp, Tracking::kNone);
  EXPECT_EQ(web.Derive().tracking_udp, Tracking::kNone);
  EXPECT_EQ(web.Derive().idle_timeout_tcp_ms, 5000U);
  EXPECT_EQ(web.Derive().idle_timeout_udp_ms, 5000U);
}

TEST(DeriveSnapshot, AStaticMacOverridesAnObservedNextHop) {
  ObservedBackend seen = kHealthy;
  seen.next_hop = SnapshotNextHop{MacAddress::Parse("02:00:00:00:00:01").value(), 3, "eth1"};
  Web web({seen, seen, kHealthy, kHealthy});
  web.backend(1).mac = MacAddress::Parse("02:00:00:00:00:02").value();
  web.backend(2).mac = MacAddress::Parse("02:00:00:00:00:03").value();
  web.backend(2).vlan = 9;
  const auto hop = [](const char* mac, uint16_t vlan, const char* interface) {
    return SnapshotNextHop{MacAddress::Parse(mac).value(), vlan, interface};
  };
  const SnapshotService service = web.Derive();
  EXPECT_EQ(service.backends[0].next_hop, seen.next_hop);
  EXPECT_EQ(service.backends[1].next_hop, hop("02:00:00:00:00:02", 0, "eth1"));
  EXPECT_EQ(service.backends[2].next_hop, hop("02:00:00:00:00:03", 9, ""));
  EXPECT_EQ(service.backends[3].next_hop, std::nullopt);
}

TEST(DeriveSnapshot, HasTheNextHopToClientsOnlyWhereNatNeedsIt) {
  IntentSpec intent;
  Observations observations = OfflineObservations(intent);
  observations.client_next_hop_v4 =
      SnapshotNextHop{MacAddress::Parse("02:00:00:00:00:fe").value(), 0, "wan"};
  observations.client_next_hop_v6 = observations.client_next_hop_v4;
  ServiceSpec& web = intent.services.emplace_back();
  web.name = "web";
  web.frontends = {Frontend::Parse("203.0.113.10:80/tcp").value(),
                   Frontend::Parse("[2001:db8::10]:80/tcp").value()};
  const auto derive = [&] {
    const Observations offline = OfflineObservations(intent);
    observations.service_id = offline.service_id;
    observations.backend = offline.backend;
    return DeriveSnapshot(intent, 1, observations);
  };
  EXPECT_EQ(derive().client_next_hop_v4, std::nullopt);
  web.forwarding = ForwardingMode::kNat;
  EXPECT_EQ(derive().client_next_hop_v4, observations.client_next_hop_v4);
  EXPECT_EQ(derive().client_next_hop_v6, observations.client_next_hop_v6);
  web.frontends.pop_back();
  EXPECT_EQ(derive().client_next_hop_v4, observations.client_next_hop_v4);
  EXPECT_EQ(derive().client_next_hop_v6, std::nullopt);
}

TEST(DeriveSnapshot, OmitsABackendsPortThatIsTheFrontends) {
  Web web({kHealthy});
  EXPECT_EQ(web.Derive().id, 77U);
  IntentSpec intent;
  intent.services = {web.service()};
  intent.services[0].backends[0].endpoint.port = 80;
  const SnapshotInput input = DeriveSnapshot(intent, 1, OfflineObservations(intent));
  EXPECT_EQ(input.services[0].backends[0].endpoint.ToString(), "10.0.0.1");
}

IntentSpec LargeIntent() {
  IntentSpec intent;
  for (int s = 0; s < 20; ++s) {
    ServiceSpec& service = intent.services.emplace_back();
    service.name = "s" + std::to_string(s);
    service.frontends = {Frontend::Parse("203.0.113." + std::to_string(s + 1) + ":80/tcp").value()};
    for (int b = 1; b <= 200; ++b) {
      service.backends.emplace_back().endpoint =
          Endpoint::Parse("10.0.0." + std::to_string(b)).value();
    }
  }
  return intent;
}

TEST(OfflineObservations, GiveIdsThatAreUniqueAndIndependentOfTheOrder) {
  IntentSpec intent = LargeIntent();
  const Observations observations = OfflineObservations(intent);
  std::set<uint32_t> service_ids;
  std::set<uint32_t> backend_ids;
  for (const ServiceSpec& service : intent.services) {
    service_ids.insert(observations.service_id(service));
    for (const BackendSpec& backend : service.backends) {
      backend_ids.insert(observations.backend(service, backend).id);
    }
  }
  EXPECT_EQ(service_ids.size(), 20U);
  EXPECT_EQ(backend_ids.size(), 4000U);
  EXPECT_EQ(backend_ids.count(0), 0U);

  IntentSpec reversed = intent;
  std::reverse(reversed.services.begin(), reversed.services.end());
  const auto bytes = [](const IntentSpec& of) {
    const SnapshotImage image =
        BuildSnapshot(DeriveSnapshot(of, 1, OfflineObservations(of))).value();
    return std::vector<std::byte>(image.bytes().begin(), image.bytes().end());
  };
  EXPECT_EQ(bytes(reversed), bytes(intent));
}

TEST(OfflineObservations, TreatEverythingAsHealthy) {
  const IntentSpec intent = LargeIntent();
  const SnapshotInput input = DeriveSnapshot(intent, 1, OfflineObservations(intent));
  for (const SnapshotBackend& backend : input.services[0].backends) {
    EXPECT_EQ(backend.state, kActive);
  }
}

TEST(DeriveSnapshot, ContainsTheSettingsThatTheModeNeeds) {
  Web web({ObservedBackend{}});
  EXPECT_EQ(web.Derive().flags, 0U);
  EXPECT_EQ(web.Derive().gue_port, 0);
  web.service().drop_too_big = true;
  web.service().forwarding = ForwardingMode::kGue;
  EXPECT_EQ(web.Derive().gue_port, 6080);
  web.service().gue_port = 7000;
  web.service().gue_checksum = true;
  EXPECT_EQ(web.Derive().gue_port, 7000);
  EXPECT_EQ(web.Derive().flags, kServiceDropTooBig | kServiceGueChecksum);
  web.service().forwarding = ForwardingMode::kNat;
  web.service().gue_checksum = false;
  web.service().mss_clamp = true;
  web.backend(0).endpoint.port = 0;
  EXPECT_EQ(web.Derive().gue_port, 0);
  EXPECT_EQ(web.Derive().flags, kServiceDropTooBig | kServiceMssClamp);
}

}  // namespace
}  // namespace fairlead
