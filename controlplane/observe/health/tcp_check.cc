#include "controlplane/observe/health/tcp_check.h"

#include <memory>

#include "controlplane/observe/health/probe_socket.h"

namespace fairlead {
namespace asio = boost::asio;

asio::awaitable<ProbeAnswer> ProbeTcp(ProbeTarget target) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto socket = std::make_shared<asio::ip::tcp::socket>(executor);
  const ProbeDeadline deadline(target, socket);
  asio::awaitable<boost::system::error_code> connected = ConnectProbe(target, socket.get());
  const boost::system::error_code error = co_await std::move(connected);
  boost::system::error_code ignored;
  socket->close(ignored);
  if (error || deadline.timed_out()) co_return FailedProbe(target, deadline.timed_out(), error);
  co_return ProbeAnswer{.outcome = CheckOutcome::kPassed};
}

}  // namespace fairlead
