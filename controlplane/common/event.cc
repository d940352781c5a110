#include "controlplane/common/event.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
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

asio::awaitable<void> Yield(asio::any_io_executor executor) {
  co_await asio::post(executor, asio::use_awaitable);
}

asio::awaitable<bool> Event::Wait(SteadyTime deadline) {
  asio::steady_timer timer(executor_);
  const auto place = waiters_.insert(waiters_.end(), &timer);
  const bool slept = co_await SleepUntil(&timer, deadline);
  waiters_.erase(place);
  co_return !slept;
}

namespace {

constexpr std::chrono::milliseconds kMemoryPause{100};
constexpr size_t kReserveBytes = size_t{4} << 20;

struct Loop {
  asio::any_io_executor executor;
  const char* name;
  std::function<asio::awaitable<void>()> body;
  std::shared_ptr<Loop> next_lost;
};
// Loops that were lost on the context that this thread runs, to be started again. Used only inside
// RunDespiteOutOfMemory(). Elsewhere a loop that is destroyed stays ended.
thread_local std::shared_ptr<Loop> lost_loops;
thread_local bool starts_lost_loops = false;

// A local variable of a loop's coroutine. If the coroutine is destroyed before it has ended, the
// loop is lost and goes to `lost_loops`. This happens when an operation that the coroutine waits
// for runs out of memory: Asio then destroys both.
class LossWatch {
 public:
  explicit LossWatch(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
  ~LossWatch() {
    if (loop_ == nullptr || !starts_lost_loops) return;
    loop_->next_lost = std::exchange(lost_loops, loop_);
  }
  LossWatch(const LossWatch&) = delete;
  LossWatch& operator=(const LossWatch&) = delete;
  void Ended() { loop_ = nullptr; }

 private:
  std::shared_ptr<Loop> loop_;
};

asio::awaitable<void> RunAgain(std::shared_ptr<Loop> loop) {
  LossWatch watch(loop);
  for (;;) {
    try {
      co_await loop->body();
      watch.Ended();
      co_return;
    } catch (const std::bad_alloc&) {
    }
    try {
      Log(LogLevel::kError, "out_of_memory", {{"in", loop->name}});
      asio::steady_timer timer(loop->executor);
      co_await SleepUntil(&timer, SteadyNow() + kMemoryPause);
    } catch (const std::bad_alloc&) {
      std::this_thread::sleep_for(kMemoryPause);
    }
  }
}

}  // namespace

void SpawnLoop(asio::any_io_executor executor, const char* name,
               std::function<asio::awaitable<void>()> body) {
  const auto loop = std::make_shared<Loop>(Loop{executor, name, std::move(body), nullptr});
  Spawn(executor, name, RunAgain(loop));
}

void RunDespiteOutOfMemory(asio::io_context* context) {
  // Asio and some destructors allocate where an exception must not be thrown. The reserve is for
  // them.
  static std::atomic<void*> reserve = nullptr;  // any thread may need it
  std::set_new_handler([] {
    void* const kept = reserve.exchange(nullptr);
    if (kept == nullptr) throw std::bad_alloc();
    std::free(kept);
  });
  starts_lost_loops = true;
  const auto end = [](const bool*) {
    starts_lost_loops = false;
    lost_loops = nullptr;
  };
  const std::unique_ptr<const bool, decltype(end)> scope(&starts_lost_loops, end);
  for (bool ended = false; !ended;) {
    try {
      if (reserve == nullptr) reserve = std::malloc(kReserveBytes);
      while (lost_loops != nullptr) {
        const std::shared_ptr<Loop> loop = lost_loops;
        Spawn(loop->executor, loop->name, RunAgain(loop));
        lost_loops = std::exchange(loop->next_lost, nullptr);
      }
      ended = context->run_one() == 0;
    } catch (const std::bad_alloc&) {
      std::this_thread::sleep_for(kMemoryPause);
    }
  }
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
