#include "controlplane/core/watchdog.h"

#include <utility>

#include "controlplane/common/log.h"

namespace fairlead {
namespace asio = boost::asio;

Watchdog::Watchdog(asio::any_io_executor executor, StoreThread* store, std::function<void()> feed,
                   Times times)
    : executor_(executor), store_(store), feed_(std::move(feed)), times_(times), stop_(executor) {}

void Watchdog::Start() {
  SpawnLoop(executor_, "watchdog", [this] { return FeedLoop(); });
  SpawnLoop(executor_, "watchdog_store", [this] { return AskLoop(); });
}

void Watchdog::Stop() {
  stopped_ = true;
  stop_.Notify();
}

asio::awaitable<void> Watchdog::FeedLoop() {
  while (!stopped_) {
    const SteadyTime now = SteadyNow();
    const bool hangs = asked_at_.has_value() && now - *asked_at_ > times_.longest_store_wait;
    if (!hangs) feed_();
    if (hangs && !starving_) {
      Log(LogLevel::kError, "store_hangs",
          {{"reason",
            "the store's thread does not answer; the service manager will restart fairleadd"}});
    }
    starving_ = hangs;
    co_await stop_.Wait(now + times_.period);
  }
}

asio::awaitable<void> Watchdog::AskLoop() {
  while (!stopped_) {
    asked_at_ = SteadyNow();
    // Any answer will do. Even without memory, the thread works.
    (void)co_await store_->Run([](Store*) { return Status(); });
    asked_at_.reset();
    co_await stop_.Wait(SteadyNow() + times_.period);
  }
}

}  // namespace fairlead
