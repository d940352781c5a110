#include "controlplane/common/event.h"

#include <cstdlib>
#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controlplane/common/log.h"

namespace fairlead {
namespace asio = boost::asio;

asio::awaitable<bool> SleepUntil(asio::steady_timer* timer, SteadyTime deadline) {
  boost::system::error_code error;
  timer->expires_at(deadline);
  co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

asio::awaitable<bool> Event::Wait(SteadyTime deadline) {
  asio::steady_timer timer(executor_);
  const auto place = waiters_.insert(waiters_.end(), &timer);
  const bool slept = co_await SleepUntil(&timer, deadline);
  waiters_.erase(place);
  co_return !slept;
}

void Spawn(asio::any_io_executor executor, const char* name, asio::awaitable<void> coroutine) {
  asio::co_spawn(std::move(executor), std::move(coroutine), [name](std::exception_ptr failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& exception) {
      Log(LogLevel::kError, "coroutine_failed", {{"name", name}, {"what", exception.what()}});
    }
    std::abort();
  });
}

}  // namespace fairlead
