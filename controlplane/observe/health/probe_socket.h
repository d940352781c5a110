// Sockets of probes, for all check types. One thread.
#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "controlplane/observe/health/probe.h"

namespace fairlead {

// Whether this host, not the backend, caused the error.
bool IsLocalError(const boost::system::error_code& error);

// Open the socket, and bind and mark it if the target has a source. A TCP socket is closed by a
// reset, so that its port is free at once: after a FIN it would be in TIME_WAIT for a minute.
boost::system::error_code OpenProbeSocket(const ProbeTarget& target,
                                          boost::asio::ip::tcp::socket* socket);
boost::system::error_code OpenProbeSocket(const ProbeTarget& target,
                                          boost::asio::ip::udp::socket* socket);

// Opens the socket, and connects it. The caller has a timer that closes the socket (ProbeDeadline).
boost::asio::awaitable<boost::system::error_code> ConnectProbe(
    const ProbeTarget& target, boost::asio::ip::tcp::socket* socket);

// Opens the socket, and sets its peer. Sends nothing.
boost::system::error_code ConnectProbe(const ProbeTarget& target,
                                       boost::asio::ip::udp::socket* socket);

// Closes a socket when a probe's time is over. The socket is shared with the timer's handler, which
// may run after the probe has ended.
template <typename Socket>
class ProbeDeadline {
 public:
  ProbeDeadline(const ProbeTarget& target, std::shared_ptr<Socket> socket)
      : timer_(socket->get_executor()), timed_out_(std::make_shared<bool>(false)) {
    timer_.expires_after(target.timeout);
    timer_.async_wait([socket, timed_out = timed_out_](const boost::system::error_code& error) {
      if (error) return;
      *timed_out = true;
      boost::system::error_code ignored;
      socket->close(ignored);
    });
  }
  bool timed_out() const { return *timed_out_; }

 private:
  boost::asio::steady_timer timer_;  // its destructor cancels the wait
  std::shared_ptr<bool> timed_out_;
};

// The answer of a probe that failed with `error`, or whose time was over.
ProbeAnswer FailedProbe(const ProbeTarget& target, bool timed_out,
                        const boost::system::error_code& error);

}  // namespace fairlead
