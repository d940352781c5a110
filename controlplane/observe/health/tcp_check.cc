#include "controlplane/observe/health/tcp_check.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace fairlead {
namespace asio = boost::asio;

namespace {

asio::ip::address ToAsio(const IpAddress& address) {
  if (address.is_v4()) {
    asio::ip::address_v4::bytes_type bytes{};
    std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  asio::ip::address_v6::bytes_type bytes{};
  std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
  return asio::ip::address_v6(bytes);
}

// Whether this host, not the backend, caused the error.
bool IsLocalError(const boost::system::error_code& error) {
  constexpr std::array kLocal = {EMFILE,        ENFILE,      ENOBUFS, ENOMEM,
                                 EADDRNOTAVAIL, ENETUNREACH, ENETDOWN};
  return error.category() == boost::system::system_category() &&
         std::ranges::find(kLocal, error.value()) != kLocal.end();
}

}  // namespace

asio::awaitable<ProbeAnswer> ProbeTcp(ProbeTarget target) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  // Shared with the timer's handler, which may run after this coroutine has ended.
  const auto socket = std::make_shared<asio::ip::tcp::socket>(executor);
  const auto timed_out = std::make_shared<bool>(false);
  asio::steady_timer timer(executor);
  timer.expires_after(target.timeout);
  timer.async_wait([socket, timed_out](const boost::system::error_code& error) {
    if (error) return;
    *timed_out = true;
    boost::system::error_code ignored;
    socket->close(ignored);
  });
  const asio::ip::tcp::endpoint endpoint(ToAsio(target.address), target.port);
  boost::system::error_code error;
  co_await socket->async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  timer.cancel();
  boost::system::error_code ignored;
  socket->close(ignored);
  ProbeAnswer answer;
  if (*timed_out) {
    answer = {CheckOutcome::kTimedOut, static_cast<int32_t>(target.timeout.count())};
  } else if (error) {
    answer = {CheckOutcome::kFailed, error.value()};
    if (IsLocalError(error)) answer.skipped = error.message();
  } else {
    answer.outcome = CheckOutcome::kPassed;
  }
  co_return answer;
}

}  // namespace fairlead
