#include "tests/unit/controlplane/http_client.h"

#include <utility>

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "controlplane/publish/seqpacket.h"

namespace fairlead {
namespace {

constexpr int kTimeoutSeconds = 20;

size_t ContentLength(const std::string& headers) {
  const size_t begin = headers.find("Content-Length: ");
  return begin == std::string::npos ? 0 : std::stoul(headers.substr(begin + 16));
}

}  // namespace

HttpConnection::HttpConnection(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  socket_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval timeout{kTimeoutSeconds, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    socket_.Reset();
  }
}

bool HttpConnection::Send(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count =
        ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

bool HttpConnection::SendWithFileDescriptor(const std::string& bytes, int fd) {
  return SendDatagram(socket_.get(), std::as_bytes(std::span(bytes)), fd).ok();
}

Answer HttpConnection::Receive() {
  Answer answer;
  for (;;) {
    const size_t end = received_.find("\r\n\r\n");
    if (end != std::string::npos) {
      answer.headers = received_.substr(0, end + 2);
      answer.status = std::stoi(received_.substr(9, 3));
      const size_t length = ContentLength(answer.headers);
      if (received_.size() >= end + 4 + length) {
        answer.body = received_.substr(end + 4, length);
        received_.erase(0, end + 4 + length);
        return answer;
      }
    }
    char buffer[16 * 1024];
    const ssize_t count = ::recv(socket_.get(), buffer, sizeof(buffer), 0);
    if (count <= 0) return {};
    received_.append(buffer, static_cast<size_t>(count));
  }
}

std::string HttpConnection::ReceiveUntil(const std::string& text) {
  while (received_.find(text) == std::string::npos) {
    char buffer[16 * 1024];
    const ssize_t count = ::recv(socket_.get(), buffer, sizeof(buffer), 0);
    if (count <= 0) break;
    received_.append(buffer, static_cast<size_t>(count));
  }
  return std::exchange(received_, {});
}

bool HttpConnection::WaitForClose() {
  char byte = 0;
  return received_.empty() && ::recv(socket_.get(), &byte, 1, 0) == 0;
}

std::string RequestText(const std::string& method, const std::string& target,
                        const std::string& body) {
  return method + " " + target +
         " HTTP/1.1\r\nHost: fairlead\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

Answer Ask(const std::string& path, const std::string& method, const std::string& target,
           const std::string& body) {
  HttpConnection connection(path);
  if (!connection.connected()) return {};
  connection.Send(RequestText(method, target, body));
  return connection.Receive();
}

bool AskUntil(const std::string& path, const std::string& target,
              const std::function<bool(const nlohmann::json&)>& done) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(kTimeoutSeconds);
  while (std::chrono::steady_clock::now() < limit) {
    if (done(Ask(path, "GET", target).json())) return true;
    std::this_thread::yield();
  }
  return false;
}

RunningDaemon::RunningDaemon(DaemonOptions options) : daemon_(&context_, std::move(options)) {
  start_status_ = daemon_.Start();
  if (!start_status_.ok()) return;
  thread_ = std::thread([this] { context_.run(); });
}

void RunningDaemon::Stop() {
  if (!thread_.joinable()) return;
  boost::asio::post(context_, [this] { daemon_.Stop(); });
  thread_.join();
}

void RunningDaemon::Abandon() {
  context_.stop();
  thread_.join();
}

}  // namespace fairlead
