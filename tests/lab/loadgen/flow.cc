#include "tests/lab/loadgen/flow.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace fairlead::loadgen {
namespace {

constexpr int64_t kRetryUs = 100'000;

std::string ToText(const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = address.any.sa_family == AF_INET;
  inet_ntop(address.any.sa_family,
            v4 ? static_cast<const void*>(&address.v4.sin_addr) : &address.v6.sin6_addr,
            text.data(), text.size());
  const uint16_t port = ntohs(v4 ? address.v4.sin_port : address.v6.sin6_port);
  return std::string(text.data()) + " port " + std::to_string(port);
}

// The value of a header line, or an empty view. `name` includes the colon; its case is ignored.
std::string_view HeaderValue(std::string_view head, std::string_view name) {
  for (size_t line = head.find('\n'); line != std::string_view::npos;
       line = head.find('\n', line + 1)) {
    const std::string_view rest = head.substr(line + 1);
    if (rest.size() < name.size() || strncasecmp(rest.data(), name.data(), name.size()) != 0) {
      continue;
    }
    std::string_view value = rest.substr(name.size(), rest.find('\r') - name.size());
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return value;
  }
  return {};
}

}  // namespace

void Environment::NextPair(SocketAddress* target, SocketAddress* source, bool* has_source) {
  *target = options->targets[next_target++ % options->targets.size()];
  const auto& sources = target->any.sa_family == AF_INET ? options->sources4 : options->sources6;
  *has_source = !sources.empty();
  if (!*has_source) return;
  *source = sources[next_source % sources.size()];
  if (options->first_port != 0) {
    const size_t port = options->first_port + next_source / sources.size();
    (source->any.sa_family == AF_INET ? source->v4.sin_port : source->v6.sin6_port) =
        htons(static_cast<uint16_t>(port));
  }
  ++next_source;
}

Flow::~Flow() {
  if (fd_ >= 0) close(fd_);
}

bool Flow::OpenSocket() {
  SocketAddress target;
  SocketAddress source;
  bool has_source = false;
  env_->NextPair(&target, &source, &has_source);
  if (!tcp()) {
    (target.any.sa_family == AF_INET ? target.v4.sin_port : target.v6.sin6_port) =
        htons(env_->options->udp_port);
  }
  fd_ = socket(target.any.sa_family,
               (tcp() ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd_ < 0) return false;
  setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // The kernel chooses the port at connect(), so that each source has all ports for each target.
  setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  where_ = "to " + ToText(target);
  if (has_source) {
    where_ = "from " + ToText(source) + " " + where_;
    if (bind(fd_, &source.any, source.size()) != 0) return false;
  }
  if (connect(fd_, &target.any, target.size()) != 0 && errno != EINPROGRESS) return false;
  SocketAddress local;
  socklen_t size = sizeof(local);
  if (getsockname(fd_, &local.any, &size) == 0) {
    where_ = "from " + ToText(local) + " to " + ToText(target);
  }
  env_->loop->Watch(fd_, tcp() ? EPOLLOUT : EPOLLIN, this);
  return true;
}

void Flow::Start() {
  decided_ = false;
  backend_ = kNoBackend;
  started_us_ = NowUs();
  asked_us_ = started_us_;
  env_->figures->Opened(group_);
  state_ = State::kConnecting;
  if (!OpenSocket()) {
    FailWithErrno(errno, "connect");
    return;
  }
  if (tcp()) {
    env_->loop->SetTimer(this, started_us_ + env_->options->timeout_us);
  } else {
    Ask();
  }
}

void Flow::OnStopping() {
  if (state_ == State::kPausing || state_ == State::kRetrying) Close(State::kClosed);
}

void Flow::OnSocket(uint32_t epoll_events) {
  if (state_ == State::kConnecting) {
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      FailWithErrno(error, "connect");
    } else if ((epoll_events & EPOLLOUT) != 0) {
      env_->loop->Change(fd_, EPOLLIN, this);
      Ask();
    }
    return;
  }
  if (fd_ < 0) return;
  if (tcp()) {
    ReadTcp();
  } else {
    ReadUdp();
  }
}

void Flow::OnTimer() {
  switch (state_) {
    case State::kConnecting:
      Fail(Failure::kTimeout, "connect");
      return;
    case State::kWaiting:
      Fail(Failure::kTimeout, "request " + std::to_string(sequence_));
      return;
    case State::kPausing:
      Ask();
      return;
    case State::kRetrying:
      Start();
      return;
    case State::kClosed:
      return;
  }
}

void Flow::Ask() {
  if (state_ != State::kConnecting || !tcp()) asked_us_ = NowUs();
  state_ = State::kWaiting;
  body_left_ = -1;
  input_.clear();
  ++sequence_;
  const std::string request = tcp()
                                  ? "GET " + env_->options->path + " HTTP/1.1\r\nHost: lab\r\n\r\n"
                                  : std::to_string(sequence_);
  const ssize_t sent = send(fd_, request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) {
    FailWithErrno(sent < 0 ? errno : EAGAIN, "send");
    return;
  }
  env_->loop->SetTimer(this, asked_us_ + env_->options->timeout_us);
}

void Flow::ReadTcp() {
  std::array<char, 65536> buffer;
  const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) {
    FailWithErrno(errno, "receive");
    return;
  }
  if (got == 0) {
    Fail(Failure::kShort, state_ == State::kPausing ? "closed while idle" : "closed too early");
    return;
  }
  if (state_ != State::kWaiting) {
    Fail(Failure::kBadReply, "bytes without a request");
    return;
  }
  if (body_left_ < 0) {
    input_.append(buffer.data(), static_cast<size_t>(got));
    if (!ParseReply()) return;
  } else {
    body_left_ -= got;
  }
  if (body_left_ < 0) {
    Fail(Failure::kBadReply, "longer than its Content-Length");
  } else if (body_left_ == 0) {
    OnAnswer(backend_name_);
  }
}

bool Flow::ParseReply() {
  const size_t end = input_.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const std::string_view head = std::string_view(input_).substr(0, end + 2);
  const std::string_view length = HeaderValue(head, "Content-Length:");
  backend_name_ = HeaderValue(head, "X-Backend:");
  int64_t bytes = -1;
  std::from_chars(length.data(), length.data() + length.size(), bytes);
  if (!head.starts_with("HTTP/1.1 200 ") || bytes < 0 || backend_name_.empty()) {
    Fail(Failure::kBadReply, std::string(head.substr(0, head.find('\r'))));
    return false;
  }
  const int64_t body = static_cast<int64_t>(input_.size() - end - 4);
  if (body > bytes) {
    Fail(Failure::kBadReply, "longer than its Content-Length");
    return false;
  }
  body_left_ = bytes - body;
  return true;
}

void Flow::ReadUdp() {
  std::array<char, 2048> buffer;
  const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR) FailWithErrno(errno, "receive");
    return;
  }
  const std::string_view reply(buffer.data(), static_cast<size_t>(got));
  const size_t space = reply.find(' ');
  if (space == std::string_view::npos) {
    Fail(Failure::kBadReply, std::string(reply));
    return;
  }
  // A reply to an earlier request: that request was counted as failed.
  if (state_ != State::kWaiting || reply.substr(space + 1) != std::to_string(sequence_)) return;
  OnAnswer(reply.substr(0, space));
}

void Flow::OnAnswer(std::string_view name) {
  const int backend = env_->figures->BackendNumber(name);
  if (backend_ != kNoBackend && backend != backend_) {
    Fail(Failure::kMoved, "to " + std::string(name));
    return;
  }
  Decide(backend);
  backend_ = backend;
  const int64_t now = NowUs();
  env_->figures->Ok(group_, backend, now - asked_us_);
  if (!stays() || env_->stopping) {
    Close(State::kClosed);
    return;
  }
  if (interval_us() == 0) {
    Ask();
    return;
  }
  state_ = State::kPausing;
  env_->loop->SetTimer(this, std::max(asked_us_ + interval_us(), now));
}

void Flow::Decide(int backend) {
  if (!decided_) env_->figures->FirstOutcome(group_, started_us_, backend);
  decided_ = true;
}

void Flow::Fail(Failure failure, const std::string& detail) {
  Decide(kNoBackend);
  env_->figures->Failed(group_, backend_, failure, detail + " " + where_);
  if (!tcp() && stays() && failure == Failure::kTimeout && !env_->stopping) {
    // Only a datagram was lost. The flow goes on with its socket.
    state_ = State::kPausing;
    env_->loop->SetTimer(this, NowUs());
    return;
  }
  Close(stays() && !env_->stopping ? State::kRetrying : State::kClosed);
}

void Flow::FailWithErrno(int error, const char* during) {
  Failure failure = Failure::kOther;
  if (error == ECONNREFUSED) failure = Failure::kRefused;
  if (error == ECONNRESET || error == EPIPE) failure = Failure::kReset;
  if (error == ETIMEDOUT) failure = Failure::kTimeout;
  Fail(failure, std::string(during) + ": " + std::strerror(error));
}

void Flow::Close(State next) {
  const bool was_open = state_ != State::kRetrying && state_ != State::kClosed;
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  if (was_open) env_->figures->Closed(group_);
  state_ = next;
  if (next == State::kRetrying) {
    env_->loop->SetTimer(this, NowUs() + kRetryUs);
  } else {
    env_->loop->ClearTimer(this);
  }
}

}  // namespace fairlead::loadgen
