#pragma once

#include <unistd.h>

#include <sys/resource.h>

namespace fairlead {

// While an object of this class lives, the process can open no further file descriptor.
class NoFreeFileDescriptors {
 public:
  NoFreeFileDescriptors() {
    getrlimit(RLIMIT_NOFILE, &old_);
    // The next file descriptor would get the lowest free number.
    const int free = dup(0);
    close(free);
    const rlimit none = {static_cast<rlim_t>(free), old_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoFreeFileDescriptors() { setrlimit(RLIMIT_NOFILE, &old_); }

 private:
  rlimit old_ = {};
};

}  // namespace fairlead
