// Feeds the service manager's watchdog while fairleadd works: the executor's thread runs this loop,
// and the store's thread answers. A store that does not answer for a minute counts as hung, not
// earlier: a disk that stalls delays only changes, but a restart would also end the health checks.
//
// One thread (the executor's).
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/event.h"
#include "controlplane/core/store_thread.h"

namespace fairlead {

class Watchdog {
 public:
  struct Times {
    std::chrono::microseconds period;  // between two calls of `feed`
    std::chrono::milliseconds longest_store_wait{60'000};
  };
  Watchdog(boost::asio::any_io_executor executor, StoreThread* store, std::function<void()> feed,
           Times times);

  void Start();
  void Stop();

 private:
  boost::asio::awaitable<void> FeedLoop();
  boost::asio::awaitable<void> AskLoop();

  boost::asio::any_io_executor executor_;
  StoreThread* store_;
  std::function<void()> feed_;
  Times times_;
  Event stop_;
  std::optional<SteadyTime> asked_at_;  // the store has not answered yet
  bool starving_ = false;
  bool stopped_ = false;
};

}  // namespace fairlead
