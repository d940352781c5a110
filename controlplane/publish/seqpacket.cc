#include "controlplane/publish/seqpacket.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

#include "controlplane/common/system_error.h"

namespace fairlead {
namespace {

constexpr size_t kMaxFdsReceived = 8;  // a message has at most one; further ones are closed

// Returns the first file descriptor of the message and closes the others.
UniqueFd TakeFileDescriptors(msghdr* message) {
  UniqueFd first;
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
      UniqueFd owned(fd);
      if (!first.valid()) first = std::move(owned);
    }
  }
  return first;
}

}  // namespace

Result<UniqueFd> ConnectSeqpacket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return InvalidArgument(path + ": longer than a socket's path may be");
  }
  path.copy(address.sun_path, path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return SystemError("socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return SystemError(path);
  }
  return socket;
}

Status SendDatagram(int socket, std::span<const std::byte> bytes, int fd) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) return SystemError("send to the dataplane");
  return {};
}

Result<std::optional<Datagram>> ReceiveDatagram(int socket, size_t max_bytes) {
  Datagram datagram;
  datagram.bytes.resize(max_bytes);
  iovec part{datagram.bytes.data(), datagram.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFdsReceived)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t received = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (received < 0) {
    if (errno == EAGAIN || errno == EINTR) return std::optional<Datagram>();
    return SystemError("receive from the dataplane");
  }
  datagram.fd = TakeFileDescriptors(&message);
  datagram.fd_lost = !datagram.fd.valid() && (message.msg_flags & MSG_CTRUNC) != 0;
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    return InvalidArgument("a message is longer than " + std::to_string(max_bytes) + " bytes");
  }
  datagram.bytes.resize(static_cast<size_t>(received));
  return std::optional<Datagram>(std::move(datagram));
}

Result<std::vector<std::byte>> ReadFileDescriptor(int fd, size_t size_bytes,
                                                  std::vector<std::byte> memory) {
  std::vector<std::byte> bytes = std::move(memory);
  bytes.resize(size_bytes);
  size_t done = 0;
  while (done < size_bytes) {
    const ssize_t count =
        ::pread(fd, bytes.data() + done, size_bytes - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("read a memfd");
    if (count == 0) return DataLoss("a memfd is shorter than its message says");
    done += static_cast<size_t>(count);
  }
  return bytes;
}

}  // namespace fairlead
