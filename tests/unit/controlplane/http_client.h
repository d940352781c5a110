// A blocking HTTP client that can also send malformed requests, and a fairleadd that runs in the
// test process.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "controlplane/daemon.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

struct Answer {
  int status = 0;  // 0: the connection was closed without an answer
  std::string headers;
  std::string body;
  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
};

class HttpConnection {
 public:
  explicit HttpConnection(const std::string& path);

  bool connected() const { return socket_.valid(); }
  // Returns false if the server has closed the connection.
  bool Send(const std::string& bytes);
  bool SendWithFileDescriptor(const std::string& bytes, int fd);
  // Waits for one whole answer.
  Answer Receive();
  // Reads a body without an end until `text` has arrived. Returns all that arrived, also if `text`
  // did not.
  std::string ReceiveUntil(const std::string& text);
  // Returns true if the server closes the connection without sending more.
  bool WaitForClose();

 private:
  UniqueFd socket_;
  std::string received_;
};

std::string RequestText(const std::string& method, const std::string& target,
                        const std::string& body = {});

// Sends one request on a new connection.
Answer Ask(const std::string& path, const std::string& method, const std::string& target,
           const std::string& body = {});

// Repeats GET until `done` returns true. Returns false after 20 s.
bool AskUntil(const std::string& path, const std::string& target,
              const std::function<bool(const nlohmann::json&)>& done);

// A daemon in its own thread. The destructor stops it and removes its socket.
class RunningDaemon {
 public:
  explicit RunningDaemon(DaemonOptions options);
  ~RunningDaemon() { Stop(); }

  const Status& start_status() const { return start_status_; }
  void Stop();
  // Ends the daemon as kill -9 does: it finishes and flushes nothing.
  void Abandon();

 private:
  boost::asio::io_context context_{1};
  Daemon daemon_;
  Status start_status_;
  std::thread thread_;
};

}  // namespace fairlead
