#include "controlplane/observe/health/udp_check.h"

#include <array>
#include <memory>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controlplane/observe/health/probe_socket.h"
#include "lib/intent/checks/check_failure.h"
#include "lib/intent/checks/udp_settings.h"

namespace fairlead {
namespace asio = boost::asio;
using boost::system::error_code;

asio::awaitable<ProbeAnswer> ProbeUdp(ProbeTarget target) {
  const auto payload = [&](std::string_view name) {
    return ParseUdpPayload(CheckSetting<std::string>(kUdpCheck, target.settings, name)).value();
  };
  const std::string request = payload("send");
  const std::string expected = payload("reply");
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto socket = std::make_shared<asio::ip::udp::socket>(executor);
  const ProbeDeadline deadline(target, socket);
  // The socket is connected, so that it gets only the backend's datagrams and ICMP errors.
  error_code error = ConnectProbe(target, socket.get());
  if (!error) socket->send(asio::buffer(request), 0, error);
  if (error) co_return FailedProbe(target, false, error);
  // One byte more than a reply may have shows that it is longer.
  std::array<char, kMaxUdpCheckBytes + 1> reply;
  const size_t length = co_await socket->async_receive(
      asio::buffer(reply), asio::redirect_error(asio::use_awaitable, error));
  if (error || deadline.timed_out()) co_return FailedProbe(target, deadline.timed_out(), error);
  if (!expected.empty() && std::string_view(reply.data(), length) != expected) {
    co_return ProbeAnswer{
        .outcome = CheckOutcome::kFailed,
        .detail = EncodeFailure(CheckFailure::kWrongReply, static_cast<uint32_t>(length))};
  }
  co_return ProbeAnswer{.outcome = CheckOutcome::kPassed};
}

}  // namespace fairlead
