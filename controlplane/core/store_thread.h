// The store's own thread. A slow disk delays only coroutines that wait for the store.
//
// Coroutines of the executor's thread call Run(), and continue on that thread. Only work that is
// passed to Run() or CallHere() may use the store. REQUIRES that the executor's context outlives
// this object.
#pragma once

#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controlplane/core/store.h"

namespace fairlead {

class StoreThread {
 public:
  StoreThread(boost::asio::any_io_executor executor, std::unique_ptr<Store> store)
      : executor_(std::move(executor)), store_(std::move(store)) {}
  // Waits for running work.
  ~StoreThread() { thread_.join(); }

  // Runs work(Store*) on the store's thread and returns its Status or Result. kUnavailable if it
  // ran out of memory.
  template <typename Work>
  boost::asio::awaitable<std::invoke_result_t<Work, Store*>> Run(Work work) {
    using Answer = std::invoke_result_t<Work, Store*>;
    const auto answer = std::make_shared<std::optional<Answer>>();
    // A named variable, because GCC 12 destroys closures in a co_await expression twice (PR 99576).
    auto begin = [this, work = std::move(work), answer](auto handler) {
      // The executor must not run out of work meanwhile.
      auto tracked =
          boost::asio::prefer(executor_, boost::asio::execution::outstanding_work.tracked);
      auto waiting = std::make_shared<std::pair<decltype(handler), decltype(tracked)>>(
          std::move(handler), std::move(tracked));
      boost::asio::post(thread_, [this, work, answer, waiting]() mutable {
        answer->emplace(CallHere(std::move(work)));
        Resume([waiting = std::move(waiting)]() mutable { waiting->first(); });
      });
    };
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(
        begin, boost::asio::use_awaitable);
    co_return std::move(**answer);
  }

  // The same on the calling thread. REQUIRES that no Run() is active: call it before the executor
  // runs.
  template <typename Work>
  std::invoke_result_t<Work, Store*> CallHere(Work work) {
    try {
      return work(store_.get());
    } catch (const std::bad_alloc&) {
      return Unavailable("out of memory in the store");
    }
  }

 private:
  // Posts the handler to the executor. Retries while there is no memory: nothing else resumes the
  // waiting coroutine.
  template <typename Handler>
  void Resume(Handler handler) {
    for (;;) {
      try {
        return boost::asio::post(executor_, handler);
      } catch (const std::bad_alloc&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
  }

  boost::asio::any_io_executor executor_;
  std::unique_ptr<Store> store_;
  boost::asio::thread_pool thread_{1};
};

}  // namespace fairlead
