// A TCP server on the loopback interface whose behaviour a test writes as a function.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "tests/unit/controlplane/certificates.h"

namespace fairlead {

using ServerSocket = boost::asio::ip::tcp::socket;
using ServerTlsStream = boost::asio::ssl::stream<ServerSocket&>;

// Runs `serve` for each connection, one after the other, in a thread of its own. `serve` must end
// when its client is gone.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::function<void(ServerSocket&)> serve)
      : serve_(std::move(serve)),
        acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}) {
    Accept();
    thread_ = std::thread([this] { context_.run(); });
  }
  ~ScriptedServer() {
    context_.stop();
    thread_.join();
  }
  uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void Accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, ServerSocket socket) {
      if (error) return;
      serve_(socket);
      Accept();
    });
  }

  std::function<void(ServerSocket&)> serve_;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

// False: the client is gone.
template <typename Stream>
bool Send(Stream& stream, const std::string& bytes) {
  boost::system::error_code error;
  boost::asio::write(stream, boost::asio::buffer(bytes), error);
  return !error;
}

// The request's header; empty: the client is gone.
template <typename Stream>
std::string ReadHeader(Stream& stream) {
  std::string text;
  boost::system::error_code error;
  boost::asio::read_until(stream, boost::asio::dynamic_buffer(text), "\r\n\r\n", error);
  return error ? "" : text;
}

// Reads until the client is gone.
template <typename Stream>
void AwaitEnd(Stream& stream) {
  char bytes[1024];
  boost::system::error_code error;
  while (!error) stream.read_some(boost::asio::buffer(bytes), error);
}

struct TestTls {
  TestIdentity identity;
  int min_version = TLS1_2_VERSION;
  int max_version = TLS1_3_VERSION;
  std::string alpn = {};  // the one protocol that the server speaks; empty: it ignores ALPN
};

// Does the TLS handshake before `serve`.
inline std::function<void(ServerSocket&)> OverTls(const TestTls& tls,
                                                  std::function<void(ServerTlsStream&)> serve) {
  const auto context =
      std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
  SSL_CTX* ssl = context->native_handle();
  SSL_CTX_set_min_proto_version(ssl, tls.min_version);
  SSL_CTX_set_max_proto_version(ssl, tls.max_version);
  // OpenSSL's default level does not allow TLS 1.1.
  if (tls.max_version < TLS1_2_VERSION) SSL_CTX_set_security_level(ssl, 0);
  CHECK(SSL_CTX_use_certificate(ssl, tls.identity.certificate.get()) == 1);
  CHECK(SSL_CTX_use_PrivateKey(ssl, tls.identity.key.get()) == 1);
  const auto alpn = std::make_shared<std::string>(tls.alpn);
  if (!alpn->empty()) {
    const auto select = [](SSL*, const unsigned char** out, unsigned char* length,
                           const unsigned char* offered, unsigned offered_length, void* wanted) {
      const auto* name = static_cast<std::string*>(wanted);
      const std::string_view list(reinterpret_cast<const char*>(offered), offered_length);
      if (list.find(*name) == std::string_view::npos) return SSL_TLSEXT_ERR_ALERT_FATAL;
      *out = reinterpret_cast<const unsigned char*>(name->data());
      *length = static_cast<unsigned char>(name->size());
      return SSL_TLSEXT_ERR_OK;
    };
    SSL_CTX_set_alpn_select_cb(ssl, select, alpn.get());
  }
  return [context, alpn, serve = std::move(serve)](ServerSocket& socket) {
    ServerTlsStream stream(socket, *context);
    boost::system::error_code error;
    stream.handshake(boost::asio::ssl::stream_base::server, error);
    if (!error) serve(stream);
  };
}

}  // namespace fairlead
