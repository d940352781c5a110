// Creates and removes the listening Unix socket.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

struct ListeningSocket {
  UniqueFd fd;
  std::string path;
  uint64_t inode = 0;  // RemoveSocket() removes only this file
};

// Listens on `path` with mode 0660. Creates a missing directory. Replaces a stale socket (no
// process listens on it). Refuses a live socket, a symbolic link, and a file that is not a socket.
Result<ListeningSocket> ListenUnix(const std::string& path);

// Removes the socket's file, unless another file has replaced it.
void RemoveSocket(const ListeningSocket& socket);

}  // namespace fairlead
