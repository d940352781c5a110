#include "controlplane/observe/health/isolation_guard.h"

#include <utility>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/log.h"
#include "controlplane/core/status_text.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

IsolationGuard::IsolationGuard(asio::any_io_executor executor, Parts parts)
    : executor_(std::move(executor)), parts_(std::move(parts)), wake_(executor_) {}

void IsolationGuard::Start() {
  SpawnLoop(executor_, "isolation", [this] { return WatchLoop(); });
}

void IsolationGuard::Stop() {
  stopped_ = true;
  wake_.Notify();
}

void IsolationGuard::Remember(const IpAddress& endpoint, const WayState& state) {
  if (state.loss != WayLoss::kNone) seen_[state.way] = {endpoint, state, parts_.clock->WallMs()};
}

asio::awaitable<std::string> IsolationGuard::WhyHeld(IpAddress endpoint, milliseconds window) {
  asio::steady_timer timer(executor_);
  asio::awaitable<WayState> looked = parts_.look(endpoint);
  WayState state = co_await std::move(looked);
  if (!together_.IsIsolated(state.way)) Remember(endpoint, state);
  FailingTogether::Answer answer =
      together_.OnFailure(endpoint, state.way, state.loss == WayLoss::kNone, parts_.clock->Steady(),
                          window, parts_.healthy_endpoints());
  Take(answer);
  while (answer.decision == FailingTogether::Decision::kWait && !stopped_) {
    asio::awaitable<bool> slept = SleepUntil(&timer, SteadyNow() + parts_.period);
    co_await std::move(slept);
    asio::awaitable<WayState> again = parts_.look(endpoint);
    state = co_await std::move(again);
    answer = together_.OnWaiting(endpoint, state.loss == WayLoss::kNone, parts_.clock->Steady());
    Take(answer);
  }
  if (answer.decision == FailingTogether::Decision::kAccept) co_return "";
  co_return LostWayText(state);
}

void IsolationGuard::OnNoWay(const IpAddress& endpoint, milliseconds window) {
  const WayState state = parts_.find(endpoint);
  // The isolation is the reason itself, or the way is back.
  if (state.loss == WayLoss::kNone || together_.IsIsolated(state.way)) return;
  Remember(endpoint, state);
  Take(together_.OnNoWay(endpoint, state.way, parts_.clock->Steady(), window,
                         parts_.healthy_endpoints()));
}

std::string IsolationGuard::WhyNoWay(const IpAddress& endpoint) const {
  if (together_.isolated().empty()) return "";
  const WayKey way = parts_.find(endpoint).way;
  return together_.IsIsolated(way) ? LostWayText(seen_.at(way).state) : "";
}

void IsolationGuard::Take(const FailingTogether::Answer& answer) {
  if (answer.failed_together) {
    ++status_.failed_together_count;
    status_.failed_together_ms = parts_.clock->WallMs();
    status_.failed = together_.failed_count();
    status_.failed_of = together_.healthy_before();
    Log(LogLevel::kError, "backends_failed_together",
        {{"failed", status_.failed}, {"of", status_.failed_of}});
  }
  for (const WayKey& way : answer.isolated) {
    Log(LogLevel::kError, "isolated",
        {{"reason", LostWayText(seen_.at(way).state)},
         {"failed", together_.failed_count()},
         {"of", together_.healthy_before()}});
  }
  if (!answer.failed_together && answer.isolated.empty()) return;
  UpdateBoard();
  wake_.Notify();
}

void IsolationGuard::UpdateBoard() {
  status_.lost.clear();
  for (const auto& [way, since] : together_.isolated()) {
    const Seen& seen = seen_.at(way);
    status_.lost.push_back({seen.state, seen.since_ms});
  }
  parts_.board->SetIsolation(status_);
}

// Ends an isolation when its way is back.
asio::awaitable<void> IsolationGuard::WatchLoop() {
  asio::steady_timer timer(executor_);
  while (!stopped_) {
    if (together_.isolated().empty()) {
      co_await wake_.Wait(SteadyNow() + kLongTime);
      continue;
    }
    asio::awaitable<bool> slept = SleepUntil(&timer, SteadyNow() + parts_.period);
    co_await std::move(slept);
    std::vector<WayKey> ways;
    for (const auto& [way, since] : together_.isolated()) ways.push_back(way);
    for (const WayKey& way : ways) {
      asio::awaitable<WayState> looked = parts_.look(seen_.at(way).endpoint);
      const WayState state = co_await std::move(looked);
      if (state.loss != WayLoss::kNone) continue;
      if (!together_.OnBack(way)) continue;
      const int64_t lasted_ms = parts_.clock->WallMs() - seen_.at(way).since_ms;
      Log(LogLevel::kWarning, "isolation_ended",
          {{"way", WayText(seen_.at(way).state)}, {"lasted_ms", lasted_ms}});
      UpdateBoard();
    }
  }
}

}  // namespace fairlead
