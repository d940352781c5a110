// Lets coroutines of one executor wait for an event, with a deadline. One thread.
#pragma once

#include <functional>
#include <list>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/time.h"

namespace fairlead {

// Sleeps until `deadline`. False if `timer` was cancelled.
boost::asio::awaitable<bool> SleepUntil(boost::asio::steady_timer* timer, SteadyTime deadline);

// Lets other ready handlers of the executor run first.
boost::asio::awaitable<void> Yield(boost::asio::any_io_executor executor);

class Event {
 public:
  explicit Event(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // Wakes all current waiters. Later waiters wait for the next call. So check the state that the
  // event stands for before each wait.
  void Notify() {
    for (boost::asio::steady_timer* waiter : waiters_) waiter->cancel();
  }

  // True: notified. False: the deadline came first. The event must outlive the wait.
  boost::asio::awaitable<bool> Wait(SteadyTime deadline);

 private:
  boost::asio::any_io_executor executor_;
  std::list<boost::asio::steady_timer*> waiters_;
};

// Starts body(). Whenever it runs out of memory, starts it again a moment later. For loops that
// must not end and that keep their state outside the coroutine.
void SpawnLoop(boost::asio::any_io_executor executor, const char* name,
               std::function<boost::asio::awaitable<void>()> body);

// Runs the context until it has no more work. A handler or coroutine that runs out of memory ends
// alone. Loops (SpawnLoop) continue.
void RunDespiteOutOfMemory(boost::asio::io_context* context);

// Starts a coroutine. An exception that leaves it is a programmer's error: it is logged with
// `name`, then the process aborts.
void Spawn(boost::asio::any_io_executor executor, const char* name,
           boost::asio::awaitable<void> coroutine);

}  // namespace fairlead
