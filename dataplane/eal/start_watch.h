// Watches over the start of the dataplane, which can hang in a driver. Names each step before it
// begins, warns of a step that takes long, and lets SIGTERM and SIGINT end the process meanwhile.
// The management loop handles these signals later. Tells the service manager the steps, and that a
// long one needs more time, but not for ever: a step that hangs ends with the unit's timeout.
#pragma once

#include <string>
#include <thread>

#include "lib/host/service_manager.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

class StartWatch {
 public:
  // `signal_fd`: of SIGTERM and SIGINT, which all threads block. `service_manager` must outlive
  // this. Starts a thread.
  StartWatch(int signal_fd, ServiceManager* service_manager);
  // The start is over, or has failed.
  ~StartWatch();
  StartWatch(const StartWatch&) = delete;
  StartWatch& operator=(const StartWatch&) = delete;

 private:
  void Run() const;

  int signal_fd_;
  ServiceManager* service_manager_;
  UniqueFd over_;
  std::thread thread_;
};

// Logs what begins now, such as "opening port wan (0000:3b:00.0)". Main thread.
void BeginStartStep(const std::string& what);

}  // namespace fairlead
