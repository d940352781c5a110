// Watches over the start of the dataplane, which can hang in a driver. Names each step before it
// begins, warns of a step that takes long, and lets SIGTERM and SIGINT end the process meanwhile.
// The management loop handles these signals later.
#pragma once

#include <string>
#include <thread>

#include "lib/host/unique_fd.h"

namespace fairlead {

class StartWatch {
 public:
  // `signal_fd`: of SIGTERM and SIGINT, which all threads block. Starts a thread.
  explicit StartWatch(int signal_fd);
  // The start is over, or has failed.
  ~StartWatch();
  StartWatch(const StartWatch&) = delete;
  StartWatch& operator=(const StartWatch&) = delete;

 private:
  void Run() const;

  int signal_fd_;
  UniqueFd over_;
  std::thread thread_;
};

// Logs what begins now, such as "opening port wan (0000:3b:00.0)". Main thread.
void BeginStartStep(const std::string& what);

}  // namespace fairlead
