#include "controlplane/http/isolation_view.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "controlplane/common/time.h"
#include "controlplane/core/status_text.h"

namespace fairlead {

nlohmann::json IsolatedJson(const IsolationStatus& isolation) {
  if (isolation.lost.empty()) return nullptr;
  nlohmann::json ways = nlohmann::json::array();
  int64_t since_ms = isolation.lost.front().since_ms;
  for (const IsolationStatus::LostWay& lost : isolation.lost) {
    const IpAddress& gateway = lost.state.way.gateway;
    ways.push_back({{"interface", lost.state.interface},
                    {"gateway", nullptr},
                    {"since", FormatRfc3339(lost.since_ms)},
                    {"reason", LostWayText(lost.state)}});
    if (gateway != IpAddress()) ways.back()["gateway"] = gateway.ToString();
    since_ms = std::min(since_ms, lost.since_ms);
  }
  return {{"since", FormatRfc3339(since_ms)}, {"ways", std::move(ways)}};
}

nlohmann::json FailedTogetherJson(const IsolationStatus& isolation) {
  if (isolation.failed_together_count == 0) return nullptr;
  return {{"at", FormatRfc3339(isolation.failed_together_ms)},
          {"failed", isolation.failed},
          {"of", isolation.failed_of},
          {"count", isolation.failed_together_count}};
}

}  // namespace fairlead
