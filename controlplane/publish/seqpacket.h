// System calls for the SOCK_SEQPACKET socket and the memfds of the link between control plane and
// dataplane. No call blocks.
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
  UniqueFd fd;                   // the file descriptor in the message, if any; others were closed
  bool fd_lost = false;          // the kernel dropped one, e.g. at the file descriptor limit
};

Result<UniqueFd> ConnectSeqpacket(const std::string& path);

// `fd`: a file descriptor to send along; -1: none. Fails with kUnavailable if the peer does not
// read.
Status SendDatagram(int socket, std::span<const std::byte> bytes, int fd);

// nullopt: there is no datagram. Fails if the datagram is longer than `max_bytes`.
Result<std::optional<Datagram>> ReceiveDatagram(int socket, size_t max_bytes);

// Reads the first `size_bytes` of a received file descriptor. Fails if it has fewer. `memory`: an
// old buffer to reuse.
Result<std::vector<std::byte>> ReadFileDescriptor(int fd, size_t size_bytes,
                                                  std::vector<std::byte> memory = {});

}  // namespace fairlead
