// Tells the service manager that started this process what it does, by the protocol of sd_notify(3)
// (units with Type=notify and WatchdogSec=). Without NOTIFY_SOCKET, nothing is sent.
//
// libsystemd is not used: its sd_notify() opens a socket for each message, and blocks while the
// reader's queue is full (10 messages by default). A daemon without a free file descriptor would be
// ended by its watchdog, and a reader that does not read would stop the management thread. Here one
// socket is opened at the start, and a message that cannot be sent at once is dropped. Only Ready()
// waits, for at most 5 s.
//
// Any thread, except construction.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>

#include "lib/host/unique_fd.h"

namespace fairlead {

class ServiceManager {
 public:
  // Nobody is told.
  ServiceManager() = default;
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them from the environment, so
  // that no child process sends anything. REQUIRES that no other thread runs.
  static ServiceManager FromEnvironment();
  ServiceManager(ServiceManager&& other) noexcept;
  ServiceManager& operator=(ServiceManager&&) = delete;

  // A service manager has started this process.
  bool is_there() const { return socket_.valid(); }

  // The start is complete.
  void Ready() { Send("READY=1", 0); }
  // The process has begun to end.
  void Stopping() { Send("STOPPING=1"); }
  // One line for people (`systemctl status`). A text that was sent last is not
  // sent again.
  void SetStatus(const std::string& text);
  // The start takes longer: from now on, wait this long for the next message.
  void ExtendStart(std::chrono::seconds time);
  // This process works. Without this call for `watchdog_timeout`, the service manager restarts it.
  void FeedWatchdog() { Send("WATCHDOG=1"); }
  // Unset: there is no watchdog.
  std::optional<std::chrono::microseconds> watchdog_timeout() const { return watchdog_timeout_; }

 private:
  // False: it was not sent.
  bool Send(std::string_view message, int flags = MSG_DONTWAIT);

  UniqueFd socket_;
  sockaddr_un address_ = {};
  socklen_t address_length_ = 0;
  std::optional<std::chrono::microseconds> watchdog_timeout_;
  std::mutex mutex_;  // for last_status_
  std::string last_status_;
};

}  // namespace fairlead
