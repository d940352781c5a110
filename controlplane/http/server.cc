#include "controlplane/http/server.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <new>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <sys/socket.h>

#include "controlplane/common/log.h"
#include "controlplane/common/time.h"

namespace fairlead {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using std::chrono::milliseconds;
using IoError = boost::system::error_code;

namespace {

using Stream = beast::basic_stream<asio::local::stream_protocol>;

// After a refusal, the rest of the request is read and discarded for this long. If the connection
// were closed with unread data, the client could lose the reply.
constexpr milliseconds kLinger{500};
constexpr milliseconds kAcceptRetry{100};
constexpr size_t kLargeBody = 64 * 1024;
// The pause between two requests with large bodies, in which other connections are served.
constexpr milliseconds kBetweenLarge{5};

constexpr std::string_view kBusyReply =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 74\r\n\r\n"
    "{\"error\":{\"code\":\"unavailable\",\"message\":\"too many connections at once\"}}\n";

// The error that the client receives for a bad request. Status 0: the client is gone.
struct BadRequest {
  unsigned status = 0;
  std::string_view code = "invalid_argument";
  std::string message;
};

BadRequest BadRequestOf(const IoError& error, const HttpLimits& limits) {
  if (error == http::error::header_limit) {
    return {431, "resource_exhausted",
            "the header is longer than " + std::to_string(limits.header_bytes) + " bytes"};
  }
  if (error == http::error::body_limit) {
    return {413, "resource_exhausted",
            "the body is longer than " + std::to_string(limits.body_bytes) + " bytes"};
  }
  if (error == beast::error::timeout) return {408, "unavailable", "the request came too slowly"};
  if (error == http::error::buffer_overflow) {
    return {431, "resource_exhausted", "the header is too long"};
  }
  static const boost::system::error_category& http_category =
      http::make_error_code(http::error::bad_method).category();
  if (error.category() == http_category && error != http::error::end_of_stream &&
      error != http::error::partial_message) {
    return {400, "invalid_argument", "not an HTTP/1.1 request: " + error.message()};
  }
  return {};
}

// The length of the body by the header, at most `most`. REQUIRES that the header was read.
template <typename Parser>
uint64_t AnnouncedBytes(const Parser& parser, uint64_t most) {
  return parser.chunked() ? most : std::min<uint64_t>(parser.content_length().value_or(0), most);
}

// Whether there is memory for a request. Only this thread allocates, so the memory stays available.
bool CanAllocate(const HttpLimits& limits, uint64_t body_bytes) {
  if (!limits.memory_bytes) return true;
  void* const block = std::malloc(limits.memory_bytes(body_bytes));
  std::free(block);
  return block != nullptr;
}

// The user who connected, for the history.
std::string PeerOf(asio::local::stream_protocol::socket& socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return "";
  return peer.uid == 0 ? "root" : "uid " + std::to_string(peer.uid);
}

}  // namespace

struct HttpServer::Session {
  explicit Session(asio::local::stream_protocol::socket socket, uint32_t buffer_bytes)
      : stream(std::move(socket)), buffer(buffer_bytes), peer(PeerOf(stream.socket())) {}

  Stream stream;
  beast::flat_buffer buffer;
  std::string peer;
  bool idle = true;
  std::list<std::shared_ptr<Session>>::iterator place;
};

HttpServer::HttpServer(asio::any_io_executor executor, const Router* router, HttpLimits limits,
                       Observer observer)
    : executor_(executor),
      router_(router),
      limits_(limits),
      observer_(std::move(observer)),
      closed_(executor) {}

HttpServer::~HttpServer() = default;

void HttpServer::Start(const ListeningSocket& socket) {
  acceptor_ = std::make_unique<asio::local::stream_protocol::acceptor>(
      executor_, asio::local::stream_protocol(), ::dup(socket.fd.get()));
  SpawnLoop(executor_, "accept", [this] { return Accept(); });
}

asio::awaitable<void> HttpServer::Stop(milliseconds timeout) {
  stopping_ = true;
  IoError ignored;
  if (acceptor_ != nullptr) acceptor_->close(ignored);
  for (const auto& session : sessions_) {
    if (session->idle) session->stream.socket().close(ignored);
  }
  const SteadyTime deadline = SteadyNow() + timeout;
  while (!sessions_.empty()) {
    const bool notified = co_await closed_.Wait(deadline);
    if (!notified) break;
  }
  for (const auto& session : sessions_) session->stream.socket().close(ignored);
}

bool HttpServer::CloseLongestIdle() {
  for (const auto& session : sessions_) {
    if (!session->idle || !session->stream.socket().is_open()) continue;
    IoError ignored;
    session->stream.socket().close(ignored);
    return true;
  }
  return false;
}

asio::awaitable<void> HttpServer::Accept() {
  asio::steady_timer retry(executor_);
  while (!stopping_) {
    IoError error;
    asio::local::stream_protocol::socket socket =
        co_await acceptor_->async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (stopping_) co_return;
    if (error) {
      // Probably out of file descriptors: wait rather than spin.
      Log(LogLevel::kWarning, "accept_failed", {{"reason", error.message()}});
      co_await SleepUntil(&retry, SteadyNow() + kAcceptRetry);
      continue;
    }
    const bool full = sessions_.size() >= limits_.connections;
    if (full && !CloseLongestIdle()) {
      Log(LogLevel::kWarning, "connection_refused", {{"connections", sessions_.size()}});
      // The reply fits into the empty socket buffer, so this does not block.
      socket.non_blocking(true, error);
      socket.write_some(asio::buffer(kBusyReply), error);
      continue;  // closes the socket
    }
    const auto session =
        std::make_shared<Session>(std::move(socket), limits_.header_bytes + 64 * 1024);
    session->place = sessions_.insert(sessions_.end(), session);
    try {
      Spawn(executor_, "session", Serve(session));
    } catch (const std::bad_alloc&) {
      sessions_.erase(session->place);  // closes the socket
      throw;
    }
  }
}

void HttpServer::End(const std::shared_ptr<Session>& session) {
  IoError ignored;
  session->stream.socket().shutdown(asio::local::stream_protocol::socket::shutdown_both, ignored);
  session->stream.socket().close(ignored);
  sessions_.erase(session->place);
  closed_.Notify();
}

asio::awaitable<void> HttpServer::Serve(std::shared_ptr<Session> session) {
  // Ends the session also if the coroutine is destroyed: when memory runs out, or together with the
  // context. In the latter case the server may be gone already (alive_).
  const auto end = [this, alive = std::weak_ptr<const char>(alive_)](const auto* ended) {
    if (!alive.expired()) End(*ended);
  };
  const std::unique_ptr<const std::shared_ptr<Session>, decltype(end)> ends(&session, end);
  bool more = true;
  while (more && !stopping_) {
    try {
      more = co_await ServeOne(session.get());
    } catch (const std::bad_alloc&) {
      more = false;  // no memory even for a reply
    }
  }
}

asio::awaitable<bool> HttpServer::ServeOne(Session* session) {
  IoError error;
  if (session->buffer.size() == 0) {
    session->idle = true;
    sessions_.splice(sessions_.end(), sessions_, session->place);
    session->stream.expires_after(limits_.idle);
    asio::mutable_buffer space = session->buffer.prepare(4096);
    const size_t count = co_await session->stream.async_read_some(
        space, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return false;
    session->buffer.commit(count);
    session->idle = false;
  }
  session->stream.expires_after(limits_.request);
  http::request_parser<http::string_body> parser;
  parser.header_limit(limits_.header_bytes);
  parser.body_limit(limits_.body_bytes);
  co_await http::async_read_header(session->stream, session->buffer, parser,
                                   asio::redirect_error(asio::use_awaitable, error));
  if (!error && beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    http::response<http::empty_body> go_on(http::status::continue_, parser.get().version());
    co_await http::async_write(session->stream, go_on,
                               asio::redirect_error(asio::use_awaitable, error));
  }
  if (!error && !CanAllocate(limits_, AnnouncedBytes(parser, limits_.body_bytes))) {
    co_await Refuse(session, 503, "unavailable",
                    "not enough memory to serve the request; try again");
    co_return false;
  }
  if (!error) {
    co_await http::async_read(session->stream, session->buffer, parser,
                              asio::redirect_error(asio::use_awaitable, error));
  }
  if (error) {
    const BadRequest bad = BadRequestOf(error, limits_);
    if (bad.status != 0) co_await Refuse(session, bad.status, bad.code, bad.message);
    co_return false;
  }
  HttpRequest request;
  request.method = std::string(parser.get().method_string());
  request.target = std::string(parser.get().target());
  request.body = std::move(parser.get().body());
  request.peer = session->peer;
  for (const auto& field : parser.get()) {
    std::string name(field.name_string());
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    request.headers[std::move(name)] = std::string(field.value());
  }
  const unsigned version = parser.get().version();
  const bool keep_alive = parser.get().keep_alive() && !stopping_;
  std::string pattern;
  const HttpHandler handler = router_->Find(&request, &pattern);
  session->stream.expires_never();
  const bool is_large = request.body.size() > kLargeBody;
  if (is_large) co_await AwaitLargeTurn();
  HttpReply reply;
  try {
    // Check again: other requests may have used the memory.
    if (CanAllocate(limits_, request.body.size())) {
      reply = co_await handler(request);
    } else {
      reply = ErrorReply(Unavailable("not enough memory to serve the request; try again"));
    }
  } catch (const std::bad_alloc&) {
    reply = ErrorReply(
        Unavailable("out of memory while the request was served; check whether it took effect"));
  }
  if (is_large) next_large_ = SteadyNow() + kBetweenLarge;
  observer_(request.method, pattern, reply.status);
  if (reply.stream && request.method != "HEAD") {
    co_await ReplyStream(session, std::move(reply), version);
    co_return false;
  }
  co_return co_await Reply(session, std::move(reply), version, keep_alive,
                           request.method == "HEAD");
}

// A large body takes tens of milliseconds. Without a pause between them, the large bodies of many
// clients would delay all other requests.
asio::awaitable<void> HttpServer::AwaitLargeTurn() {
  asio::steady_timer timer(executor_);
  for (;;) {
    const SteadyTime now = SteadyNow();
    if (now >= next_large_) break;
    co_await SleepUntil(&timer, next_large_);
  }
  // A first estimate. ServeOne() sets the time again when the request is done; waiting requests
  // check it again.
  next_large_ = SteadyNow() + kBetweenLarge;
}

asio::awaitable<bool> HttpServer::Reply(Session* session, HttpReply reply, unsigned version,
                                        bool keep_alive, bool head) {
  http::response<http::string_body> response(static_cast<http::status>(reply.status), version);
  response.set(http::field::server, "fairleadd");
  if (!reply.content_type.empty() && reply.status != 204) {
    response.set(http::field::content_type, reply.content_type);
  }
  for (const auto& [name, value] : reply.headers) response.set(name, value);
  response.keep_alive(keep_alive);
  if (!head) response.body() = std::move(reply.body);
  response.prepare_payload();
  if (reply.status == 204) response.erase(http::field::content_length);
  session->stream.expires_after(limits_.reply);
  IoError error;
  co_await http::async_write(session->stream, response,
                             asio::redirect_error(asio::use_awaitable, error));
  co_return !error && keep_alive;
}

asio::awaitable<void> HttpServer::ReplyStream(Session* session, HttpReply reply, unsigned version) {
  http::response<http::empty_body> header(static_cast<http::status>(reply.status), version);
  header.set(http::field::server, "fairleadd");
  header.set(http::field::content_type, reply.content_type);
  for (const auto& [name, value] : reply.headers) header.set(name, value);
  header.keep_alive(false);
  header.chunked(true);
  http::response_serializer<http::empty_body> serializer(header);
  IoError error;
  session->stream.expires_after(limits_.reply);
  co_await http::async_write_header(session->stream, serializer,
                                    asio::redirect_error(asio::use_awaitable, error));
  while (!error && !stopping_) {
    session->stream.expires_never();
    const std::optional<std::string> piece = co_await reply.stream();
    if (!piece.has_value()) break;
    // A client that reads nothing for this long counts as gone.
    session->stream.expires_after(limits_.reply);
    co_await asio::async_write(session->stream, http::make_chunk(asio::buffer(*piece)),
                               asio::redirect_error(asio::use_awaitable, error));
  }
  if (error) co_return;
  session->stream.expires_after(limits_.reply);
  co_await asio::async_write(session->stream, http::make_chunk_last(),
                             asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<void> HttpServer::Refuse(Session* session, unsigned status, std::string_view code,
                                         std::string message) {
  observer_("", "", status);
  // After a timeout Beast has closed the stream, so no reply can be sent.
  if (!session->stream.socket().is_open()) co_return;
  HttpReply reply = ErrorReply(status, code, message);
  co_await Reply(session, std::move(reply), 11, false, false);
  IoError error;
  session->stream.socket().shutdown(asio::local::stream_protocol::socket::shutdown_send, error);
  session->stream.expires_after(kLinger);
  while (!error) {
    session->buffer.clear();
    asio::mutable_buffer space = session->buffer.prepare(16 * 1024);
    co_await session->stream.async_read_some(space,
                                             asio::redirect_error(asio::use_awaitable, error));
  }
}

}  // namespace fairlead
