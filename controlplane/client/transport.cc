#include "controlplane/client/transport.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <sys/un.h>

namespace fairlead {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Stream = beast::basic_stream<asio::local::stream_protocol>;

constexpr const char* kUnitFolders[] = {"/etc/systemd/system/", "/usr/lib/systemd/system/",
                                        "/lib/systemd/system/", "/usr/local/lib/systemd/system/"};

constexpr uint64_t kMaxBodyBytes = uint64_t{256} << 20;

std::string StartHint(const std::string& path) {
  if (path == kDefaultControlPath) return "start it with: " + StartCommand();
  return "start it with: fairleadd --socket " + path;
}

Status ConnectError(const std::string& path, const error_code& error) {
  if (error == boost::system::errc::no_such_file_or_directory) {
    return Unavailable("fairleadd is not running (" + path + ": no such file); " + StartHint(path));
  }
  if (error == boost::system::errc::connection_refused) {
    return Unavailable("fairleadd is not running (" + path +
                       ": no process listens on this socket); " + StartHint(path));
  }
  if (error == boost::system::errc::permission_denied) {
    return Unavailable("no permission for " + path +
                       "; run as root, or as a member of the socket's group");
  }
  return Unavailable("cannot connect to fairleadd (" + path + ": " + error.message() + ")");
}

class UnixTransport final : public Transport {
 public:
  UnixTransport(std::string path, std::chrono::milliseconds timeout,
                std::chrono::milliseconds longest_silence)
      : path_(std::move(path)), timeout_(timeout), longest_silence_(longest_silence) {}

  Result<ControlReply> Send(const std::string& method, const std::string& target,
                            const std::string& body) override {
    asio::io_context io;
    Stream stream(io);
    RETURN_IF_ERROR(Connect(&io, &stream));
    http::request<http::string_body> request(http::string_to_verb(method), target, 11);
    request.set(http::field::host, "fairlead");
    request.set(http::field::connection, "close");
    if (!body.empty()) request.set(http::field::content_type, "application/json");
    request.body() = body;
    request.prepare_payload();
    if (const error_code error =
            Await(&io, [&](auto done) { http::async_write(stream, request, done); })) {
      return ExchangeError(error);
    }
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxBodyBytes);
    if (const error_code error =
            Await(&io, [&](auto done) { http::async_read(stream, buffer, parser, done); })) {
      return ExchangeError(error);
    }
    ControlReply reply{parser.get().result_int(), std::move(parser.get().body())};
    reply.generation = std::string(parser.get()["Fairlead-Generation"]);
    reply.in_force = std::string(parser.get()["Fairlead-In-Force"]);
    return reply;
  }

  Result<ControlReply> Follow(const std::string& target, const std::string& from,
                              const std::function<bool(const std::string&)>& line) override {
    asio::io_context io;
    Stream stream(io);
    RETURN_IF_ERROR(Connect(&io, &stream));
    http::request<http::empty_body> request(http::verb::get, target, 11);
    request.set(http::field::host, "fairlead");
    if (!from.empty()) request.set("Fairlead-From", from);
    if (const error_code error =
            Await(&io, [&](auto done) { http::async_write(stream, request, done); })) {
      return ExchangeError(error);
    }
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(std::numeric_limits<uint64_t>::max());
    if (const error_code error =
            Await(&io, [&](auto done) { http::async_read_header(stream, buffer, parser, done); })) {
      return ExchangeError(error);
    }
    const bool is_stream = parser.get().result() == http::status::ok;
    while (!parser.is_done()) {
      stream.expires_after(is_stream ? longest_silence_ : timeout_);
      const error_code error =
          Await(&io, [&](auto done) { http::async_read_some(stream, buffer, parser, done); });
      if (is_stream && error == beast::error::timeout) return SilenceError();
      if (error) return ExchangeError(error);
      if (is_stream && !TakeLines(&parser.get().body(), line)) break;
    }
    return ControlReply{parser.get().result_int(), is_stream ? "" : std::move(parser.get().body())};
  }

 private:
  // Passes complete lines to `line` and removes them from `text`. An incomplete line stays. False:
  // `line` returned false.
  static bool TakeLines(std::string* text, const std::function<bool(const std::string&)>& line) {
    size_t begin = 0;
    for (size_t end; (end = text->find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (!line(text->substr(begin, end - begin))) return false;
    }
    text->erase(0, begin);
    return true;
  }

  Status Connect(asio::io_context* io, Stream* stream) const {
    if (path_.size() >= sizeof(sockaddr_un{}.sun_path)) {
      return InvalidArgument("the socket's path is longer than " +
                             std::to_string(sizeof(sockaddr_un{}.sun_path) - 1) +
                             " bytes: " + path_);
    }
    stream->expires_after(timeout_);
    if (const error_code error = Await(io, [&](auto done) {
          stream->async_connect(asio::local::stream_protocol::endpoint(path_), done);
        })) {
      return ConnectError(path_, error);
    }
    return {};
  }

  // Runs one asynchronous step to its end. Only asynchronous steps of a Stream have deadlines.
  template <typename Start>
  static error_code Await(asio::io_context* io, Start start) {
    error_code result;
    start([&result](const error_code& error, auto&&...) { result = error; });
    io->restart();
    io->run();
    return result;
  }

  Status ExchangeError(const error_code& error) const {
    if (error == beast::error::timeout) {
      return Unavailable("fairleadd did not answer within " + std::to_string(timeout_.count()) +
                         " ms (" + path_ +
                         "); see its log, or allow more time with "
                         "--request-timeout");
    }
    return Unavailable("the connection to fairleadd failed (" + path_ + ": " + error.message() +
                       "); see its log");
  }

  Status SilenceError() const {
    return Unavailable("fairleadd sent nothing for " + std::to_string(longest_silence_.count()) +
                       " ms (" + path_ + "); see its log, and watch again");
  }

  std::string path_;
  std::chrono::milliseconds timeout_;
  std::chrono::milliseconds longest_silence_;
};

}  // namespace

std::unique_ptr<Transport> MakeUnixTransport(const std::string& socket_path,
                                             std::chrono::milliseconds timeout,
                                             std::chrono::milliseconds longest_silence) {
  return std::make_unique<UnixTransport>(socket_path, timeout, longest_silence);
}

std::string StartCommand(const std::string& root) {
  const bool has_systemd = ::access((root + "/run/systemd/system").c_str(), F_OK) == 0;
  const bool has_unit = std::ranges::any_of(kUnitFolders, [&](const char* folder) {
    return ::access((root + folder + "fairleadd.service").c_str(), F_OK) == 0;
  });
  return has_systemd && has_unit ? "systemctl start fairleadd" : "fairleadd";
}

}  // namespace fairlead
