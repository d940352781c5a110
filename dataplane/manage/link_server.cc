#include "dataplane/manage/link_server.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/error_text.h"
#include "lib/host/own_files.h"

namespace fairlead {
namespace {

constexpr size_t kMaxClients = 16;
constexpr size_t kMaxRequestsAtOnce = 64;  // per client, before the next client's turn
constexpr size_t kMaxFds = 16;             // per message; the kernel closes further ones
constexpr std::chrono::milliseconds kAcceptPause{200};

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return InvalidArgument("link path '" + path + "' is empty or longer than " +
                           std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  path.copy(address.sun_path, path.size());
  return address;
}

bool HasListener(const sockaddr_un& address) {
  const int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return true;  // unknown: do not replace the socket of a running process
  const int result = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const bool is_free = result != 0 && (errno == ECONNREFUSED || errno == ENOENT);
  close(probe);
  return !is_free;
}

// Makes `path` free: removes the socket of a process that has ended.
Status ClearPath(const std::string& path, const sockaddr_un& address) {
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  RETURN_IF_ERROR(MakeRuntimeFolder(directory.string()));
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return FailedPrecondition("cannot stat link path " + path + ": " + ErrorText());
  }
  if (!S_ISSOCK(info.st_mode)) {
    return FailedPrecondition(
        "link path " + path +
        (S_ISLNK(info.st_mode) ? " is a symbolic link" : " is a file, not a socket") +
        "; remove it or choose another --link");
  }
  if (HasListener(address)) {
    return FailedPrecondition("another fairlead-dataplane listens on " + path +
                              "; stop it or choose another --link");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return FailedPrecondition("cannot remove stale socket " + path + ": " + ErrorText());
  }
  return {};
}

// Sends one datagram, with `fd` unless it is -1. False if the socket does not accept it.
bool Send(int client, std::span<const std::byte> datagram, int fd) {
  iovec part = {const_cast<std::byte*>(datagram.data()), datagram.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  const ssize_t sent = sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent == static_cast<ssize_t>(datagram.size());
}

// Writes `bytes` to the client's memfd. The client has read the last answer in it, since it asks
// again. False: there is no file descriptor or no memory for it.
bool FillMemfd(std::span<const std::byte> bytes, UniqueFd* memfd) {
  if (!memfd->valid()) *memfd = UniqueFd(memfd_create("fairlead-stats", MFD_CLOEXEC));
  if (!memfd->valid() || ftruncate(memfd->get(), static_cast<off_t>(bytes.size())) != 0) {
    return false;
  }
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pwrite(memfd->get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

bool SendStats(int client, uint16_t link_version, uint32_t id, std::span<const std::byte> body,
               UniqueFd* memfd) {
  // Without a file descriptor or memory, the client gets no answer. It stops waiting soon.
  if (!FillMemfd(body, memfd)) return true;
  return Send(client, EncodeLinkMessage(id, StatsMessage{body.size()}, link_version), memfd->get());
}

}  // namespace

// One datagram with its file descriptors. The destructor closes them.
struct LinkServer::Received {
  std::array<std::byte, kMaxLinkMessageBytes> bytes;
  size_t length = 0;
  bool truncated = false;
  bool fd_lost = false;  // this process could not open another file descriptor
  std::vector<int> fds;

  Received() = default;
  ~Received() {
    for (const int fd : fds) close(fd);
  }
  Received(const Received&) = delete;
  Received& operator=(const Received&) = delete;

  // Returns as recvmsg: 0 at the end, -1 with errno.
  ssize_t From(int client) {
    iovec part = {bytes.data(), bytes.size()};
    msghdr message = {};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)] = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    fds.reserve(kMaxFds);  // first: if this throws, no file descriptor is lost
    const ssize_t count = recvmsg(client, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0) return count;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      fds.resize(fds.size() + (header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      const size_t added = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      std::memcpy(fds.data() + fds.size() - added, CMSG_DATA(header), added * sizeof(int));
    }
    length = static_cast<size_t>(count);
    truncated = (message.msg_flags & MSG_TRUNC) != 0;
    fd_lost = fds.empty() && (message.msg_flags & MSG_CTRUNC) != 0;
    return count;
  }
};

Result<LinkServer> LinkServer::Listen(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  RETURN_IF_ERROR(ClearPath(path, address));
  const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0) return Internal("cannot create the link's socket: " + ErrorText());
  // The socket has the right mode from the start. No other thread creates files at this time.
  const mode_t mask = umask(0117);
  const int bound = bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  umask(mask);
  if (bound != 0 || listen(listener, static_cast<int>(kMaxClients)) != 0) {
    close(listener);
    return FailedPrecondition("cannot listen on link path " + path + ": " +
                              std::strerror(bound != 0 ? error : errno) +
                              "; make its folder writable and free space in it, or choose another "
                              "--link");
  }
  return LinkServer(path, listener);
}

LinkServer::LinkServer(LinkServer&& other) noexcept
    : path_(std::move(other.path_)),
      listener_(std::exchange(other.listener_, -1)),
      clients_(std::move(other.clients_)) {}

LinkServer::~LinkServer() {
  if (listener_ < 0) return;
  for (const Client& client : clients_) close(client.fd);
  close(listener_);
  unlink(path_.c_str());
}

void LinkServer::AddPollFds(std::vector<pollfd>* fds) const {
  if (SteadyClock::now() >= accept_again_) fds->push_back({listener_, POLLIN, 0});
  for (const Client& client : clients_) fds->push_back({client.fd, POLLIN, 0});
}

void LinkServer::Serve(LinkHandler* handler) {
  AcceptClients(handler);
  for (Client& client : clients_) {
    bool stays = false;
    try {
      stays = ServeClient(&client, handler);
    } catch (const std::bad_alloc&) {
      // The client is disconnected. It connects again; there may be memory for an answer then.
    }
    if (!stays) close(std::exchange(client.fd, -1));
  }
  std::erase_if(clients_, [](const Client& client) { return client.fd < 0; });
}

void LinkServer::AcceptClients(LinkHandler* handler) {
  while (true) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED)
        return;
      if (!cannot_accept_) spdlog::warn("link: cannot accept clients: {}", ErrorText());
      cannot_accept_ = true;
      accept_again_ = SteadyClock::now() + kAcceptPause;
      return;
    }
    if (std::exchange(cannot_accept_, false)) spdlog::info("link: accepts clients again");
    UniqueFd owned(client);
    if (clients_.size() >= kMaxClients) DropIdleClient();
    clients_.reserve(kMaxClients);
    if (!Send(client, EncodeLinkMessage(0, handler->Hello(), kFirstLinkVersion), -1)) continue;
    clients_.push_back({.fd = owned.Release(), .heard = SteadyClock::now(), .stats = {}});
  }
}

void LinkServer::DropIdleClient() {
  const auto oldest = std::ranges::min_element(clients_, [](const Client& a, const Client& b) {
    return std::tuple(a.has_asked, a.heard) < std::tuple(b.has_asked, b.heard);
  });
  spdlog::warn("link: more than {} clients; disconnecting the one that {}", kMaxClients,
               oldest->has_asked ? "has been silent for longest" : "never sent a request");
  close(oldest->fd);
  clients_.erase(oldest);
}

bool LinkServer::AnswerHello(Client* client, uint32_t id, const ClientHelloMessage& hello,
                             LinkHandler* handler) {
  client->stats_version = hello.stats_version >= kStatsVersion ? kStatsVersion : kFirstStatsVersion;
  spdlog::debug("link: a control plane of release {} has connected", hello.release);
  return Send(client->fd, EncodeLinkMessage(id, handler->Hello()), -1);
}

bool LinkServer::Answer(Client* client, const DecodedMessage& question, const Received& received,
                        LinkHandler* handler) {
  const auto& [version, id, message] = question;
  const auto send = [&](const LinkMessage& answer) {
    return Send(client->fd, EncodeLinkMessage(question.id, answer, question.version), -1);
  };
  if (const auto* publish = std::get_if<PublishMessage>(&message)) {
    PublishedMessage reply;
    reply.generation = publish->generation;
    if (received.fds.size() == 1) {
      reply = handler->Publish(*publish, received.fds[0]);
    } else if (received.fd_lost) {
      reply.reason = "the dataplane has too many open files to receive the image";
    } else {
      reply.reason = "a publish message must have one file descriptor, not " +
                     std::to_string(received.fds.size());
    }
    return send(reply);
  }
  if (std::holds_alternative<GetStatsMessage>(message)) {
    stats_body_ = EncodeStats(handler->Stats(), std::move(stats_body_), client->stats_version);
    return SendStats(client->fd, version, id, stats_body_, &client->stats);
  }
  if (const auto* find = std::get_if<FindFlowMessage>(&message)) {
    return send(handler->FindFlow(*find));
  }
  if (std::holds_alternative<OpenProbesMessage>(message)) {
    if (received.fds.size() == 1) return send(handler->OpenProbes(received.fds[0]));
    return send(ProbesMessage{.reason = "the message must have one file descriptor, not " +
                                        std::to_string(received.fds.size())});
  }
  if (const auto* hello = std::get_if<ClientHelloMessage>(&message)) {
    return AnswerHello(client, id, *hello, handler);
  }
  spdlog::warn("link: a client sent a message that only a dataplane sends; disconnecting");
  return false;
}

bool LinkServer::ServeClient(Client* client, LinkHandler* handler) {
  // The newest image. It is published after all other requests are answered.
  std::unique_ptr<Received> image;
  std::optional<DecodedMessage> publish;
  bool ends = false;
  for (size_t n = 0; n < kMaxRequestsAtOnce; ++n) {
    auto received = std::make_unique<Received>();
    const ssize_t count = received->From(client->fd);
    if (count < 0) {
      ends = errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
      break;
    }
    if (count == 0) {  // the client has gone
      ends = true;
      break;
    }
    if (received->truncated) {
      spdlog::warn("link: a client sent a message longer than {} bytes; disconnecting",
                   kMaxLinkMessageBytes);
      return false;
    }
    Result<DecodedMessage> decoded = DecodeLinkMessage({received->bytes.data(), received->length});
    if (!decoded.ok()) {
      spdlog::warn("link: {}; disconnecting", decoded.status().message());
      return false;
    }
    client->has_asked = true;
    client->heard = SteadyClock::now();
    if (!std::holds_alternative<PublishMessage>(decoded->message)) {
      if (!Answer(client, *decoded, *received, handler)) return false;
      continue;
    }
    if (publish.has_value()) {
      const PublishedMessage reply{
          .generation = std::get<PublishMessage>(publish->message).generation,
          .reason = "a newer image arrived before this one was read"};
      if (!Send(client->fd, EncodeLinkMessage(publish->id, reply, publish->version), -1)) {
        return false;
      }
    }
    publish = *std::move(decoded);
    image = std::move(received);
  }
  if (publish.has_value() && !Answer(client, *publish, *image, handler)) return false;
  return !ends;
}

}  // namespace fairlead
