// Calls all controllers after a change, in the order in which they were added. Repeats the pass
// until it changes nothing. A controller looks at the present intent and status, and does what they
// require. It does not matter how often it is called, or for which change. Controllers are never
// called recursively.
//
// One thread (the executor's).
#pragma once

#include <functional>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/event.h"

namespace fairlead {

class Reconciler {
 public:
  explicit Reconciler(boost::asio::any_io_executor executor)
      : executor_(executor), wake_(executor), passed_(executor) {}

  // Call before Start().
  void Add(std::function<void()> controller) { controllers_.push_back(std::move(controller)); }
  void Start();
  void Stop();

  // Something changed: requests a pass. Does not allocate memory.
  void Trigger();
  // Calls all controllers now. A controller must not call this.
  void Pass();

  // Notified after each pass, for observers that are not controllers.
  Event* passed() { return &passed_; }

 private:
  boost::asio::awaitable<void> Loop();

  boost::asio::any_io_executor executor_;
  Event wake_;
  Event passed_;
  std::vector<std::function<void()>> controllers_;
  bool pending_ = false;
  bool stopped_ = false;
};

}  // namespace fairlead
