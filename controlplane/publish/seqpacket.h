// SOCK_SEQPACKET sockets and memfds of the link between control plane and dataplane, as plain
// system calls. Nothing blocks.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

struct Datagram {
  std::vector<std::byte> bytes;  // empty: the peer has closed
  UniqueFd fd;                   // the one that came along, if any; further ones were closed
  bool fd_lost = false;          // one came along that this process had no room for
};

Result<UniqueFd> ConnectSeqpacket(const std::string& path);

// `fd` is -1 or a descriptor to pass along. Fails with kUnavailable when the peer does not read.
Status SendDatagram(int socket, std::span<const std::byte> bytes, int fd);

// nullopt: nothing is there yet. A datagram longer than `max_bytes` is a failure.
Result<std::optional<Datagram>> ReceiveDatagram(int socket, size_t max_bytes);

// The first `size_bytes` of a descriptor from outside; fails when there are fewer. `memory`: of what is
// no longer needed.
Result<std::vector<std::byte>> ReadDescriptor(int fd, size_t size_bytes,
                                              std::vector<std::byte> memory = {});

}  // namespace fairlead
