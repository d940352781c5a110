#include "bench/wire/memif.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace fairlead::bench {
namespace {

constexpr uint32_t kCookie = 0x3e31f20;
constexpr uint16_t kVersion = 0x0200;
constexpr uint16_t kPolled = 1;  // MemifRing::flags: do not signal
constexpr uint16_t kTowardsServer = 1;
constexpr uint16_t kMaxQueues = 8;
constexpr uint16_t kMaxRegions = 16;
constexpr uint8_t kMaxLog2Ring = 14;

enum MessageType : uint16_t {
  kAck = 1,
  kHello,
  kInit,
  kAddRegion,
  kAddRing,
  kConnect,
  kConnected,
  kDisconnect,
};

Status Failed(const std::string& what) {
  return Unavailable("memif: " + what + ": " + std::strerror(errno));
}

}  // namespace

// 128 bytes on the socket, packed.
struct Memif::Message {
  uint16_t type = 0;
  uint8_t body[126] = {};

  template <typename T>
  T Read(size_t offset) const {
    T value;
    std::memcpy(&value, body + offset, sizeof(T));
    return value;
  }
  template <typename T>
  void Write(size_t offset, T value) {
    std::memcpy(body + offset, &value, sizeof(T));
  }
};

Result<std::unique_ptr<Memif>> Memif::Listen(const std::string& path) {
  std::unique_ptr<Memif> memif(new Memif(path));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return InvalidArgument("memif: the socket's path is longer than 107 bytes: " + path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  memif->listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (memif->listener_ < 0) return Failed("no socket");
  unlink(path.c_str());
  if (bind(memif->listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(memif->listener_, 1) != 0) {
    return Failed("cannot listen on " + path);
  }
  return memif;
}

Memif::~Memif() {
  for (const Region& region : regions_) munmap(region.bytes, region.size);
  if (socket_ >= 0) close(socket_);
  if (listener_ >= 0) {
    close(listener_);
    unlink(path_.c_str());
  }
}

Status Memif::Accept(int timeout_ms) {
  static_assert(sizeof(Message) == 128);
  pollfd ready = {listener_, POLLIN, 0};
  if (poll(&ready, 1, timeout_ms) <= 0) {
    return Unavailable("memif: no client connected to " + path_ + " within " +
                       std::to_string(timeout_ms) + " ms");
  }
  socket_ = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (socket_ < 0) return Failed("accept");
  return Handshake(timeout_ms);
}

Status Memif::Handshake(int timeout_ms) {
  Message hello;
  hello.type = kHello;
  std::memcpy(hello.body, "fairlead-wiregen", 16);
  hello.Write<uint16_t>(32, kVersion);
  hello.Write<uint16_t>(34, kVersion);
  hello.Write<uint16_t>(36, kMaxRegions - 1);
  hello.Write<uint16_t>(38, kMaxQueues - 1);
  hello.Write<uint16_t>(40, kMaxQueues - 1);
  hello.Write<uint8_t>(42, kMaxLog2Ring);
  RETURN_IF_ERROR(SendMessage(hello));
  while (true) {
    Message message;
    int fd = -1;
    RETURN_IF_ERROR(ReceiveMessage(&message, &fd, timeout_ms));
    const Result<bool> done = Handle(message, fd);
    if (fd >= 0)
      close(fd);  // a region is mapped by now; rings are polled and need no file descriptor
    if (!done.ok()) return done.status();
    if (*done) return {};
    Message ack;
    ack.type = kAck;
    RETURN_IF_ERROR(SendMessage(ack));
  }
}

// True if the client is connected.
Result<bool> Memif::Handle(const Message& message, int fd) {
  switch (message.type) {
    case kInit:
      if (message.Read<uint16_t>(0) != kVersion) {
        return InvalidArgument("memif: the client does not speak version 2.0");
      }
      return false;
    case kAddRegion:
      RETURN_IF_ERROR(AddRegion(message, fd));
      return false;
    case kAddRing:
      RETURN_IF_ERROR(AddRing(message));
      return false;
    case kConnect:
      RETURN_IF_ERROR(Connect());
      return true;
    case kDisconnect:
      return Unavailable("memif: the client disconnects: " +
                         std::string(reinterpret_cast<const char*>(message.body) + 4));
    default:
      return InvalidArgument("memif: unexpected message of type " + std::to_string(message.type));
  }
}

Status Memif::AddRegion(const Message& message, int fd) {
  const auto index = message.Read<uint16_t>(0);
  const auto size = message.Read<uint64_t>(2);
  if (fd < 0 || index != regions_.size() || index >= kMaxRegions) {
    return InvalidArgument("memif: region " + std::to_string(index) + " is out of order");
  }
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return Failed("mmap of a region");
  regions_.push_back({static_cast<uint8_t*>(memory), size});
  return {};
}

Status Memif::AddRing(const Message& message) {
  const auto flags = message.Read<uint16_t>(0);
  const auto index = message.Read<uint16_t>(2);
  Queue queue;
  queue.region = message.Read<uint16_t>(4);
  queue.offset = message.Read<uint32_t>(6);
  const auto log2_size = message.Read<uint8_t>(10);
  auto& queues = (flags & kTowardsServer) != 0 ? from_client_ : to_client_;
  if (index != queues.size() || index >= kMaxQueues || log2_size > kMaxLog2Ring) {
    return InvalidArgument("memif: ring " + std::to_string(index) +
                           " is out of order or larger than announced");
  }
  queue.mask = static_cast<uint16_t>((1U << log2_size) - 1);
  queues.push_back(queue);
  return {};
}

Status Memif::Connect() {
  for (auto* queues : {&to_client_, &from_client_}) {
    if (queues->empty()) return InvalidArgument("memif: the client has no ring");
    for (Queue& queue : *queues) {
      if (queue.region >= regions_.size()) {
        return InvalidArgument("memif: a ring is in region " + std::to_string(queue.region) +
                               ", which does not exist");
      }
      queue.ring = reinterpret_cast<MemifRing*>(regions_[queue.region].bytes + queue.offset);
      if (queue.ring->cookie != kCookie) {
        return InvalidArgument("memif: a ring has a wrong cookie");
      }
      if (queues == &from_client_) queue.ring->flags = kPolled;
    }
  }
  Message connected;
  connected.type = kConnected;
  std::memcpy(connected.body, "wiregen", 7);
  return SendMessage(connected);
}

Status Memif::SendMessage(const Message& message) const {
  if (send(socket_, &message, sizeof(message), MSG_NOSIGNAL) != sizeof(message)) {
    return Failed("send");
  }
  return {};
}

Status Memif::ReceiveMessage(Message* message, int* fd, int timeout_ms) const {
  pollfd ready = {socket_, POLLIN, 0};
  if (poll(&ready, 1, timeout_ms) <= 0) {
    return Unavailable("memif: the client sent no message within " + std::to_string(timeout_ms) +
                       " ms");
  }
  iovec part = {message, sizeof(*message)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) + 64];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(socket_, &header, MSG_CMSG_CLOEXEC);
  if (size != sizeof(*message)) return Unavailable("memif: the client closed the connection");
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
      std::memcpy(fd, CMSG_DATA(c), sizeof(*fd));
    }
  }
  return {};
}

}  // namespace fairlead::bench
