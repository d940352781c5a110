// A blocking HTTP client that also sends what no decent client would, and a fairleadd that runs in
// the test's process.
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
  int status = 0;  // 0: the connection was closed without one
  std::string headers;
  std::string body;
  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
};

class HttpConnection {
 public:
  explicit HttpConnection(const std::string& path);

  bool connected() const { return socket_.valid(); }
  // False when the server has closed.
  bool Send(const std::string& bytes);
  bool SendWithDescriptor(const std::string& bytes, int fd);
  // Waits for one whole answer.
  Answer Receive();
  // What comes until `text` has come, of a body without an end; all that came where it does not.
  std::string ReceiveUntil(const std::string& text);
  // True when the server closes without sending anything more.
  bool WaitForClose();

 private:
  UniqueFd socket_;
  std::string received_;
};

std::string RequestText(const std::string& method, const std::string& target,
                        const std::string& body = {});

// One request on a connection of its own.
Answer Ask(const std::string& path, const std::string& method, const std::string& target,
           const std::string& body = {});

// Asks until `done`; false after much patience.
bool AskUntil(const std::string& path, const std::string& target,
              const std::function<bool(const nlohmann::json&)>& done);

// A daemon in a thread of its own; stopped, and its socket removed, at the end.
class RunningDaemon {
 public:
  explicit RunningDaemon(DaemonOptions options);
  ~RunningDaemon() { Stop(); }

  const Status& start_status() const { return start_status_; }
  void Stop();
  // As kill -9: nothing is finished or flushed.
  void Abandon();

 private:
  boost::asio::io_context context_{1};
  Daemon daemon_;
  Status start_status_;
  std::thread thread_;
};

}  // namespace fairlead
