#pragma once

#include <unistd.h>

#include <sys/resource.h>

namespace fairlead {

// No more descriptors than are open now, until it goes.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    getrlimit(RLIMIT_NOFILE, &old_);
    // The lowest that is free is what the next one would be.
    const int free = dup(0);
    close(free);
    const rlimit none = {static_cast<rlim_t>(free), old_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoMoreDescriptors() { setrlimit(RLIMIT_NOFILE, &old_); }

 private:
  rlimit old_ = {};
};

}  // namespace fairlead
