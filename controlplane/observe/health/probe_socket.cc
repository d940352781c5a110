#include "controlplane/observe/health/probe_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>

namespace fairlead {
namespace asio = boost::asio;
using boost::system::error_code;

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

template <typename Socket>
error_code Open(const ProbeTarget& target, Socket* socket) {
  using Protocol = typename Socket::protocol_type;
  error_code error;
  socket->open(target.address.is_v4() ? Protocol::v4() : Protocol::v6(), error);
  if (error || !target.source) return error;
  const ProbeSource& source = *target.source;
  const int mark = static_cast<int>(source.mark);
  if (::setsockopt(socket->native_handle(), SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) {
    return {errno, boost::system::system_category()};
  }
  // Another socket of this port may not have ended yet.
  socket->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) socket->bind({ToAsio(source.address), source.port}, error);
  return error;
}

}  // namespace

bool IsLocalError(const error_code& error) {
  constexpr std::array kLocal = {EMFILE,     ENFILE,        ENOBUFS,     ENOMEM,  EPERM,
                                 EADDRINUSE, EADDRNOTAVAIL, ENETUNREACH, ENETDOWN};
  return error.category() == boost::system::system_category() &&
         std::ranges::find(kLocal, error.value()) != kLocal.end();
}

error_code OpenProbeSocket(const ProbeTarget& target, asio::ip::tcp::socket* socket) {
  error_code error = Open(target, socket);
  if (!error) socket->set_option(asio::socket_base::linger(true, 0), error);
  return error;
}

error_code OpenProbeSocket(const ProbeTarget& target, asio::ip::udp::socket* socket) {
  return Open(target, socket);
}

asio::awaitable<error_code> ConnectProbe(const ProbeTarget& target, asio::ip::tcp::socket* socket) {
  error_code error = OpenProbeSocket(target, socket);
  if (error) co_return error;
  const asio::ip::tcp::endpoint endpoint(ToAsio(target.address), target.port);
  co_await socket->async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  co_return error;
}

error_code ConnectProbe(const ProbeTarget& target, asio::ip::udp::socket* socket) {
  error_code error = OpenProbeSocket(target, socket);
  if (!error) socket->connect({ToAsio(target.address), target.port}, error);
  return error;
}

ProbeAnswer FailedProbe(const ProbeTarget& target, bool timed_out, const error_code& error) {
  if (timed_out) {
    return {.outcome = CheckOutcome::kTimedOut,
            .detail = static_cast<int32_t>(target.timeout.count())};
  }
  ProbeAnswer answer{.outcome = CheckOutcome::kFailed, .detail = error.value()};
  if (IsLocalError(error)) answer.skipped = error.message();
  return answer;
}

}  // namespace fairlead
