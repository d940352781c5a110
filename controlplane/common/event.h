// Lets coroutines of one executor wait for something to happen, with a deadline. One thread.
#pragma once

#include <functional>
#include <list>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/time.h"

namespace fairlead {

// Sleeps until then. False when `timer` was cancelled.
boost::asio::awaitable<bool> SleepUntil(boost::asio::steady_timer* timer, SteadyTime deadline);

// Lets everything else that is ready have its turn.
boost::asio::awaitable<void> Yield(boost::asio::any_io_executor executor);

class Event {
 public:
  explicit Event(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // Wakes everybody who waits now. Who comes later waits for the next call: look at the state that
  // the event stands for before each wait.
  void Notify() {
    for (boost::asio::steady_timer* waiter : waiters_) waiter->cancel();
  }

  // True: notified. False: the deadline came first. The event must outlive the wait.
  boost::asio::awaitable<bool> Wait(SteadyTime deadline);

 private:
  boost::asio::any_io_executor executor_;
  std::list<boost::asio::steady_timer*> waiters_;
};

// Starts body(), and starts it again, a moment later, whenever it is ended by a lack of memory: for
// loops that must not end, and hold their state elsewhere.
void SpawnLoop(boost::asio::any_io_executor executor, const char* name,
               std::function<boost::asio::awaitable<void>()> body);

// Runs the context until it has nothing more to do. What ends by a lack of memory costs no more than
// itself; loops go on.
void RunThroughLacksOfMemory(boost::asio::io_context* context);

// Starts a coroutine whose exceptions are a programmer's error: logged by `name`, then abort.
void Spawn(boost::asio::any_io_executor executor, const char* name,
           boost::asio::awaitable<void> coroutine);

}  // namespace fairlead
