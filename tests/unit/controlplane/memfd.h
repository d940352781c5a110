// Returns a memfd with `bytes`, such as a dataplane sends. It is not valid if the process has no
// file descriptor left.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <span>

#include <sys/mman.h>

#include "lib/base/check.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

inline UniqueFd MakeMemfd(std::span<const std::byte> bytes) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  if (!fd.valid()) return fd;
  CHECK(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

}  // namespace fairlead
