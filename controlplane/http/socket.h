// The listening Unix socket: made safely, removed safely.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

struct ListeningSocket {
  UniqueFd fd;
  std::string path;
  uint64_t inode = 0;  // so that only what we made is removed
};

// Listens on `path` with mode 0660. A directory that is missing is made; a stale socket (nobody
// listens) is replaced; a live one, a symbolic link, and anything that is not a socket is refused.
Result<ListeningSocket> ListenUnix(const std::string& path);

// Removes the socket's file, if it is still ours.
void RemoveSocket(const ListeningSocket& socket);

}  // namespace fairlead
