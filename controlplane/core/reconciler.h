// Calls the controllers when something changed: all of them, in the order in which they were added,
// again and again until a pass changes nothing. A controller looks at the present intent and status
// and does what they ask for; how often it is called, and for which change, does not matter. Nothing
// is called from within another call.
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

  // Before Start().
  void Add(std::function<void()> controller) { controllers_.push_back(std::move(controller)); }
  void Start();
  void Stop();

  // Something changed: there will be a pass. Needs no memory.
  void Trigger();
  // All controllers, now. Not from within a controller.
  void Pass();

  // Notified after each pass, for those who only look on.
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
