#include "controlplane/observe/health/failing_together.h"

#include <algorithm>
#include <utility>

namespace fairlead {

namespace {

// The check of a failure that waits may have ended. Otherwise it asks several times a second.
constexpr std::chrono::seconds kWaitingGrace{5};

}  // namespace

// Forgets failures whose window is over. A window begins with the first failure after that.
void FailingTogether::Begin(SteadyTime now, size_t healthy) {
  std::erase_if(failures_, [&](const auto& each) {
    const Failure& failure = each.second;
    return failure.until + (failure.waits ? kWaitingGrace : kWaitingGrace * 0) <= now;
  });
  if (!failures_.empty()) return;
  healthy_before_ = healthy;
  told_ = false;
}

bool FailingTogether::WasGone(const WayKey& way) const {
  return std::ranges::any_of(
      failures_, [&](const auto& each) { return each.second.way == way && each.second.is_gone; });
}

void FailingTogether::Isolate(SteadyTime now, Answer* answer) {
  if (!ReachesHalf()) return;
  for (const auto& [endpoint, failure] : failures_) {
    if (!failure.is_gone || !isolated_.emplace(failure.way, now).second) continue;
    answer->isolated.push_back(failure.way);
  }
}

FailingTogether::Answer FailingTogether::OnFailure(const IpAddress& endpoint, const WayKey& way,
                                                   bool is_there, SteadyTime now,
                                                   std::chrono::milliseconds window,
                                                   size_t healthy) {
  Begin(now, healthy);
  Answer answer;
  if (healthy_before_ < kMinEndpoints && !IsIsolated(way)) return answer;
  if (is_there && (IsIsolated(way) || WasGone(way))) {
    // Its failures may be those of the way.
    OnBack(way);
    answer.decision = Decision::kHold;
    return answer;
  }
  failures_[endpoint] = {.way = way, .until = now + window, .is_gone = !is_there};
  Isolate(now, &answer);
  if (!is_there) {
    answer.decision = IsIsolated(way) ? Decision::kHold : Decision::kWait;
    failures_[endpoint].waits = answer.decision == Decision::kWait;
  } else if (ReachesHalf()) {
    answer.failed_together = !std::exchange(told_, true);
  }
  return answer;
}

FailingTogether::Answer FailingTogether::OnNoWay(const IpAddress& endpoint, const WayKey& way,
                                                 SteadyTime now, std::chrono::milliseconds window,
                                                 size_t healthy) {
  Begin(now, healthy);
  Answer answer{.decision = Decision::kHold};
  if (healthy_before_ < kMinEndpoints || IsIsolated(way)) return answer;
  failures_[endpoint] = {.way = way, .until = now + window, .is_gone = true};
  Isolate(now, &answer);
  return answer;
}

FailingTogether::Answer FailingTogether::OnWaiting(const IpAddress& endpoint, bool is_there,
                                                   SteadyTime now) {
  Answer answer{.decision = Decision::kHold};
  const auto found = failures_.find(endpoint);
  if (found == failures_.end() || !found->second.waits) return answer;  // the way was back
  Failure& failure = found->second;
  if (is_there) {
    OnBack(failure.way);
    return answer;
  }
  if (IsIsolated(failure.way)) {
    failure.waits = false;
    return answer;
  }
  answer.decision = Decision::kWait;
  if (failure.until > now) return answer;
  // It counts no longer as gone: the others of its way did not fail.
  failures_.erase(found);
  answer.decision = Decision::kAccept;
  return answer;
}

bool FailingTogether::OnBack(const WayKey& way) {
  std::erase_if(failures_,
                [&](const auto& each) { return each.second.way == way && each.second.is_gone; });
  return isolated_.erase(way) != 0;
}

}  // namespace fairlead
