#include "controlplane/core/reconciler.h"

#include "controlplane/common/time.h"

namespace fairlead {

void Reconciler::Start() {
  SpawnLoop(executor_, "reconcile", [this] { return Loop(); });
}

void Reconciler::Stop() {
  stopped_ = true;
  wake_.Notify();
  passed_.Notify();
}

void Reconciler::Trigger() {
  pending_ = true;
  wake_.Notify();
}

void Reconciler::Pass() {
  pending_ = false;
  try {
    for (const std::function<void()>& controller : controllers_) controller();
  } catch (...) {
    pending_ = true;  // out of memory; SpawnLoop() starts the loop again
    throw;
  }
  passed_.Notify();
}

boost::asio::awaitable<void> Reconciler::Loop() {
  while (!stopped_) {
    if (pending_) {
      Pass();
      // Let other handlers run between two passes.
      co_await Yield(executor_);
      continue;
    }
    co_await wake_.Wait(SteadyNow() + kLongTime);
  }
}

}  // namespace fairlead
