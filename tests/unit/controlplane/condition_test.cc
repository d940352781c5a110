#include "controlplane/http/condition.h"

#include <random>

#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

class ConditionTest : public CoreTest {
 protected:
  ConditionCounts::Counts FullCount() {
    ConditionCounts::Counts counts = {};
    for (const auto& service : View()->services) {
      for (const auto& backend : service->backends) {
        ++counts[static_cast<size_t>(
            ConditionOf(service->settings, *backend, board_->At(backend->id)))];
      }
    }
    return counts;
  }
};

TEST_F(ConditionTest, StepwiseCountsEqualAFullCount) {
  constexpr uint32_t kSeed = 20261130;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  const auto pick = [&](uint32_t below) { return static_cast<uint32_t>(random() % below); };
  ConditionCounts counts(board_.get());
  for (int step = 0; step < 600; ++step) {
    const std::string service = "s" + std::to_string(pick(4));
    BackendSpec backend;
    backend.endpoint = ParseEndpoint("10.0.0." + std::to_string(1 + pick(5)));
    backend.weight = static_cast<uint16_t>(pick(2));
    switch (pick(6)) {
      case 0:
        (void)Apply(AddService(ParseServiceSpec(R"({"name": ")" + service +
                                                R"(", "frontends": ["203.0.113.)" +
                                                service.substr(1) + R"(:80/tcp"]})")));
        break;
      case 1:
        if (pick(6) == 0) (void)Apply(RemoveService(service));
        break;
      case 2:
        (void)Apply(AddBackends(service, {backend}));
        break;
      case 3:
        (void)Apply(pick(2) == 0 ? RemoveBackend(service, backend.endpoint)
                                 : DrainBackend(service, backend.endpoint, 1000));
        break;
      default:
        for (const auto& each : View()->services) {
          for (const auto& present : each->backends) {
            if (pick(3) == 0) {
              board_->SetHealth(present->id, static_cast<HealthState>(pick(3)), {});
            }
            if (pick(3) == 0) {
              board_->SetOutlier(present->id, {.ejected_for = std::chrono::seconds(pick(2) * 30)});
            }
          }
        }
    }
    if (pick(3) == 0) {
      ASSERT_EQ(counts.Of(View()), FullCount()) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace fairlead
