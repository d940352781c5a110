// HTTP/1.1 on a Unix socket. Each connection has its own coroutine with limits on sizes and times,
// so that no connection blocks another. The connection of a client that sends slowly or does not
// read is closed. Pipelined requests are answered in order. One thread (the executor's).
#pragma once

#include <functional>
#include <list>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "controlplane/common/event.h"
#include "controlplane/http/router.h"
#include "controlplane/http/socket.h"

namespace fairlead {

struct HttpLimits {
  uint32_t header_bytes = 16 * 1024;
  uint64_t body_bytes = uint64_t{1} << 20;
  size_t connections = 256;
  std::chrono::milliseconds idle{60'000};     // between requests
  std::chrono::milliseconds request{10'000};  // from a request's first byte to its last
  std::chrono::milliseconds reply{10'000};    // for the client to read the reply
  // The memory that a request with a body of this length may need. With less free memory the
  // request is refused (503) at once: later there might be no memory for an error reply, and some
  // destructors (JSON's) allocate. Empty: no check.
  std::function<uint64_t(uint64_t body_bytes)> memory_bytes;
};

class HttpServer {
 public:
  // Called after each reply: method, route pattern, status.
  using Observer =
      std::function<void(const std::string& method, const std::string& pattern, unsigned status)>;

  HttpServer(boost::asio::any_io_executor executor, const Router* router, HttpLimits limits,
             Observer observer);
  ~HttpServer();

  void Start(const ListeningSocket& socket);
  // Stops accepting, closes idle connections, and lets running requests end. Returns when all
  // connections are closed, or after `timeout`.
  boost::asio::awaitable<void> Stop(std::chrono::milliseconds timeout);

  size_t connection_count() const { return sessions_.size(); }

 private:
  struct Session;

  boost::asio::awaitable<void> Accept();
  boost::asio::awaitable<void> Serve(std::shared_ptr<Session> session);
  void End(const std::shared_ptr<Session>& session);
  boost::asio::awaitable<void> AwaitLargeTurn();
  // False: the connection ends.
  boost::asio::awaitable<bool> ServeOne(Session* session);
  boost::asio::awaitable<bool> Reply(Session* session, HttpReply reply, unsigned version,
                                     bool keep_alive, bool head);
  // Sends a reply whose body is a stream. The connection ends after it.
  boost::asio::awaitable<void> ReplyStream(Session* session, HttpReply reply, unsigned version);
  boost::asio::awaitable<void> Refuse(Session* session, unsigned status, std::string_view code,
                                      std::string message);
  // Closes the connection that has been idle longest. False: none is idle.
  bool CloseLongestIdle();

  boost::asio::any_io_executor executor_;
  const Router* router_;
  HttpLimits limits_;
  Observer observer_;
  std::unique_ptr<boost::asio::local::stream_protocol::acceptor> acceptor_;
  std::list<std::shared_ptr<Session>> sessions_;  // the longest idle first
  Event closed_;
  SteadyTime next_large_{};  // when the next request with a large body may be handled
  bool stopping_ = false;
  std::shared_ptr<const char> alive_ = std::make_shared<const char>();  // until the destructor
};

}  // namespace fairlead
