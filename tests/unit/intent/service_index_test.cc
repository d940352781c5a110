// A change is checked against an index of the present services. A check of the whole intent must
// give the same result. A refused change must not change the index.
#include "lib/intent/service_index.h"

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/intent/model.h"
#include "tests/unit/rounds.h"

namespace fairlead {
namespace {

class ServiceIndexTest : public ::testing::Test {
 protected:
  uint32_t Pick(uint32_t below) { return static_cast<uint32_t>(random_()) % below; }

  // Uses few addresses and ports, so that services conflict.
  ServiceSpec RandomService(uint32_t number) {
    ServiceSpec service;
    service.name = "s" + std::to_string(number);
    service.health_check.type = &kNoneCheck;
    service.forwarding = Pick(2) == 0 ? ForwardingMode::kNat : ForwardingMode::kDsr;
    for (uint32_t n = 0; n <= Pick(2); ++n) {
      const uint16_t port = static_cast<uint16_t>(80 + Pick(4));
      Frontend frontend{Address(Pick(4)), port, Pick(4) == 0 ? Protocol::kUdp : Protocol::kTcp, 0};
      if (Pick(3) == 0) frontend.last_port = static_cast<uint16_t>(port + 1 + Pick(4));
      if (Pick(6) == 0) frontend.port = frontend.last_port = 0;
      service.frontends.push_back(frontend);
    }
    AddBackends(&service);
    return service;
  }

  void AddBackends(ServiceSpec* service) {
    for (uint32_t n = 0; n <= Pick(3); ++n) {
      BackendSpec backend;
      backend.endpoint = {Address(3 + Pick(6)), 0};
      if (service->forwarding == ForwardingMode::kNat && Pick(3) == 0) backend.endpoint.port = 8080;
      service->backends.push_back(backend);
    }
  }

  static IpAddress Address(uint32_t number) {
    return IpAddress::Parse("10.0.0." + std::to_string(1 + number)).value();
  }

  static ServiceEdit EditOf(const ServiceSpec* before, const ServiceSpec* after) {
    ServiceEdit edit{before, after};
    const auto has = [](const ServiceSpec& service, const Endpoint& endpoint) {
      return std::ranges::count(service.backends, endpoint, &BackendSpec::endpoint) != 0;
    };
    const bool keeps = ServiceEdit::KeepsIndex(before, after);
    for (size_t i = 0; before != nullptr && i < before->backends.size(); ++i) {
      const Endpoint& endpoint = before->backends[i].endpoint;
      if (!keeps || !has(*after, endpoint)) edit.removed.push_back(endpoint);
    }
    for (size_t i = 0; after != nullptr && i < after->backends.size(); ++i) {
      const Endpoint& endpoint = after->backends[i].endpoint;
      if (!keeps || !has(*before, endpoint)) edit.added.push_back({endpoint, i});
    }
    return edit;
  }

  // Returns the service after one step, or nullopt if the step removes it.
  std::optional<ServiceSpec> Next(uint32_t number, const std::optional<ServiceSpec>& present) {
    if (present.has_value() && Pick(4) == 0) return std::nullopt;
    if (!present.has_value() || Pick(3) == 0) return RandomService(number);
    ServiceSpec next = *present;
    if (!next.backends.empty() && Pick(2) == 0) {
      next.backends.erase(next.backends.begin() +
                          Pick(static_cast<uint32_t>(next.backends.size())));
    } else {
      AddBackends(&next);
    }
    return next;
  }

  static constexpr uint32_t kSeed = 20261130;
  std::mt19937 random_{kSeed};
  ServiceIndex index_;
};

TEST_F(ServiceIndexTest, AcceptsAChangeExactlyIfTheWholeIntentIsValid) {
  constexpr uint32_t kServices = 5;
  std::optional<ServiceSpec> services[kServices];
  uint32_t accepted = 0;
  uint32_t refused = 0;
  for (uint32_t step = 0; step < Rounds(20'000); ++step) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", step " + std::to_string(step));
    // Change one service, or two at once as the import of a file does.
    std::optional<ServiceSpec> next[kServices];
    std::ranges::copy(services, next);
    bool are_valid = true;
    std::vector<uint32_t> numbers = {Pick(kServices)};
    if (Pick(3) == 0) numbers.push_back((numbers[0] + 1) % kServices);
    for (const uint32_t number : numbers) {
      next[number] = Next(number, services[number]);
      are_valid = are_valid && (!next[number] || ValidateService(*next[number]).ok());
    }
    if (!are_valid) continue;
    std::vector<ServiceEdit> edits;
    for (const uint32_t number : numbers) {
      const auto pointer = [&](const auto& service) { return service ? &*service : nullptr; };
      if (!services[number] && !next[number]) continue;
      edits.push_back(EditOf(pointer(services[number]), pointer(next[number])));
    }
    IntentSpec whole;
    for (const auto& service : next) {
      if (service) whole.services.push_back(*service);
    }
    const Status expected = ValidateIntent(whole);
    const Status result = index_.Change(edits);
    ASSERT_EQ(result.ok(), expected.ok()) << result.message() << "|" << expected.message();
    ++(result.ok() ? accepted : refused);
    if (result.ok()) std::ranges::copy(next, services);
  }
  EXPECT_GT(accepted, Rounds(1000));
  EXPECT_GT(refused, Rounds(1000));
}

TEST_F(ServiceIndexTest, NamesTheServiceWhoseBackendHasTheFrontendsAddress) {
  ServiceSpec web;
  web.name = "web";
  web.frontends = {Frontend::Parse("203.0.113.10:80/tcp").value()};
  web.backends.resize(1);
  web.backends[0].endpoint = Endpoint::Parse("10.0.0.1").value();
  ServiceSpec api;
  api.name = "api";
  api.frontends = {Frontend::Parse("10.0.0.1:80/tcp").value()};
  ServiceEdit add_web = EditOf(nullptr, &web);
  ASSERT_TRUE(index_.Change({&add_web, 1}).ok());
  ServiceEdit add_api = EditOf(nullptr, &api);
  add_api.path = "services[1].";
  EXPECT_EQ(
      index_.Change({&add_api, 1}).message(),
      "services[1].frontends[0]: 10.0.0.1:80/tcp has the address of a backend of service web: "
      "packets would come back in a loop");
  ServiceEdit remove_web = EditOf(&web, nullptr);
  ASSERT_TRUE(index_.Change({&remove_web, 1}).ok());
  EXPECT_TRUE(index_.Change({&add_api, 1}).ok());
}

}  // namespace
}  // namespace fairlead
