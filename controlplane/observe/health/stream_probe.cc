#include "controlplane/observe/health/stream_probe.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <memory>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "controlplane/observe/health/probe_socket.h"

namespace fairlead {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

using TcpSocket = asio::ip::tcp::socket;
using TlsStream = asio::ssl::stream<TcpSocket&>;

constexpr size_t kReadBytes = 8192;
constexpr uint32_t kDepthShift = 16;  // CheckFailure::kTlsVerify
constexpr int kMaxDepth = 255;

// The server's alert says that it speaks none of the protocols offered.
const int32_t kNoCommonProtocol =
    EncodeFailure(CheckFailure::kTlsError, SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);

ProbeAnswer Failed(CheckFailure kind, uint32_t value = 0) {
  return {.outcome = CheckOutcome::kFailed, .detail = EncodeFailure(kind, value)};
}

// Many TLS servers close the connection without saying so in TLS.
bool IsEnd(const error_code& error) {
  return error == asio::error::eof || error == asio::ssl::error::stream_truncated;
}

ProbeAnswer StreamError(const ProbeTarget& target, bool timed_out, const error_code& error) {
  if (timed_out) return FailedProbe(target, timed_out, error);
  if (IsEnd(error)) return Failed(CheckFailure::kClosedEarly);
  if (error.category() == asio::error::get_ssl_category()) {
    const auto code = static_cast<unsigned long>(static_cast<unsigned>(error.value()));
    const bool has_reason = !ERR_SYSTEM_ERROR(code) && ERR_GET_LIB(code) == ERR_LIB_SSL;
    return Failed(CheckFailure::kTlsError,
                  has_reason ? static_cast<uint32_t>(ERR_GET_REASON(code)) : 0);
  }
  return FailedProbe(target, timed_out, error);
}

// Sends and receives until the dialogue has its answer.
template <typename Stream>
asio::awaitable<ProbeAnswer> Converse(const ProbeTarget& target, Stream* stream,
                                      const ProbeDeadline<TcpSocket>* deadline,
                                      Dialogue* dialogue) {
  error_code error;
  std::array<char, kReadBytes> bytes;
  for (;;) {
    for (std::string output = dialogue->TakeOutput(); !output.empty();
         output = dialogue->TakeOutput()) {
      co_await asio::async_write(*stream, asio::buffer(output),
                                 asio::redirect_error(asio::use_awaitable, error));
      // A server that refuses the request may answer before it has read all of it.
      if (error) break;
    }
    if (dialogue->answer()) co_return *dialogue->answer();
    const size_t length = co_await stream->async_read_some(
        asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
    if (deadline->timed_out()) co_return FailedProbe(target, true, error);
    if (length > 0) dialogue->Receive({bytes.data(), length});
    if (!dialogue->answer() && IsEnd(error)) dialogue->ReceiveEnd();
    if (dialogue->answer()) co_return *dialogue->answer();
    if (error) co_return StreamError(target, false, error);
  }
}

// The certificate of a server, as far as a handshake got.
struct Certificate {
  std::optional<int64_t> not_after_s;
  int verify_error = X509_V_OK;
  int verify_depth = 0;
};

std::optional<int64_t> NotAfter(const X509* certificate) {
  tm time{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) {
    return std::nullopt;
  }
  return ::timegm(&time);
}

// Notes what OpenSSL found out about the certificates.
bool NoteVerified(bool is_good, X509_STORE_CTX* store, Certificate* certificate) {
  certificate->not_after_s = NotAfter(X509_STORE_CTX_get0_cert(store));
  if (is_good) return true;
  certificate->verify_error = X509_STORE_CTX_get_error(store);
  certificate->verify_depth = X509_STORE_CTX_get_error_depth(store);
  return false;
}

// Sets the name, and how the certificate is verified. False: out of memory.
bool PrepareTls(const TlsSettings& settings, TlsStream* stream, Certificate* certificate) {
  SSL* ssl = stream->native_handle();
  X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl);
  const bool is_address = IpAddress::Parse(settings.name).ok();
  if (!is_address && SSL_set_tlsext_host_name(ssl, settings.name.c_str()) != 1) return false;
  if (settings.verify == TlsVerify::kNone) {
    SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);
    return true;
  }
  stream->set_verify_mode(asio::ssl::verify_peer);
  stream->set_verify_callback([certificate](bool is_good, asio::ssl::verify_context& context) {
    return NoteVerified(is_good, context.native_handle(), certificate);
  });
  if (settings.verify == TlsVerify::kChain) return true;
  if (is_address) return X509_VERIFY_PARAM_set1_ip_asc(parameters, settings.name.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(parameters, settings.name.data(), settings.name.size()) == 1;
}

ProbeAnswer HandshakeFailed(const ProbeTarget& target, bool timed_out, const error_code& error,
                            Alpn alpn, const Certificate& certificate) {
  ProbeAnswer answer;
  if (!timed_out && certificate.verify_error != X509_V_OK) {
    const auto depth = static_cast<uint32_t>(std::clamp(certificate.verify_depth, 0, kMaxDepth));
    answer = Failed(CheckFailure::kTlsVerify,
                    depth << kDepthShift | static_cast<uint32_t>(certificate.verify_error));
  } else {
    answer = StreamError(target, timed_out, error);
    if (alpn == Alpn::kHttp2 && answer.detail == kNoCommonProtocol) {
      answer = Failed(CheckFailure::kNoAlpn);
    }
  }
  answer.certificate_not_after_s = certificate.not_after_s;
  return answer;
}

bool HasProtocol(SSL* ssl, Alpn alpn) {
  const unsigned char* name = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl, &name, &length);
  // HTTP/1 is spoken by servers that know nothing of ALPN.
  if (alpn == Alpn::kHttp1) return true;
  return std::string_view(reinterpret_cast<const char*>(name), length) == AlpnName(alpn);
}

// What is wrong with a handshake that OpenSSL accepts; nullopt: nothing.
std::optional<ProbeAnswer> JudgeHandshake(SSL* ssl, const TlsSettings& settings, Alpn alpn,
                                          Certificate* certificate) {
  certificate->not_after_s = NotAfter(SSL_get0_peer_certificate(ssl));
  std::optional<ProbeAnswer> failed;
  // OpenSSL does not look at the certificate of a session that is resumed.
  const bool has_ended =
      certificate->not_after_s.has_value() && *certificate->not_after_s < std::time(nullptr);
  if (settings.verify != TlsVerify::kNone && has_ended) {
    failed = Failed(CheckFailure::kTlsVerify, X509_V_ERR_CERT_HAS_EXPIRED);
  } else if (!HasProtocol(ssl, alpn)) {
    failed = Failed(CheckFailure::kNoAlpn);
  }
  if (failed) failed->certificate_not_after_s = certificate->not_after_s;
  return failed;
}

}  // namespace

asio::awaitable<ProbeAnswer> ProbeTcpStream(const ProbeTarget& target, Dialogue* dialogue) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto socket = std::make_shared<TcpSocket>(executor);
  const ProbeDeadline deadline(target, socket);
  asio::awaitable<error_code> connected = ConnectProbe(target, socket.get());
  const error_code error = co_await std::move(connected);
  if (error || deadline.timed_out()) co_return FailedProbe(target, deadline.timed_out(), error);
  asio::awaitable<ProbeAnswer> answer = Converse(target, socket.get(), &deadline, dialogue);
  co_return co_await std::move(answer);
}

asio::awaitable<ProbeAnswer> ProbeTlsStream(const ProbeTarget& target, const TlsSettings& settings,
                                            Alpn alpn, TlsContexts* contexts, Dialogue* dialogue) {
  const Result<TlsClient> client = contexts->Get(settings, alpn, {target.backend, target.port});
  if (!client.ok()) co_return ProbeAnswer{.skipped = client.status().message()};
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const auto socket = std::make_shared<TcpSocket>(executor);
  const ProbeDeadline deadline(target, socket);
  asio::awaitable<error_code> connected = ConnectProbe(target, socket.get());
  error_code error = co_await std::move(connected);
  if (error || deadline.timed_out()) co_return FailedProbe(target, deadline.timed_out(), error);
  Certificate certificate;
  TlsStream stream(*socket, *client->context);
  if (!PrepareTls(settings, &stream, &certificate)) {
    co_return ProbeAnswer{.skipped = "out of memory for TLS"};
  }
  TlsContexts::UseSession(stream.native_handle(), client->session.get());
  co_await stream.async_handshake(asio::ssl::stream_base::client,
                                  asio::redirect_error(asio::use_awaitable, error));
  if (error || deadline.timed_out()) {
    co_return HandshakeFailed(target, deadline.timed_out(), error, alpn, certificate);
  }
  std::optional<ProbeAnswer> failed =
      JudgeHandshake(stream.native_handle(), settings, alpn, &certificate);
  if (failed) co_return *std::move(failed);
  if (SSL_session_reused(stream.native_handle()) == 0) client->session->FullHandshakeMade();
  asio::awaitable<ProbeAnswer> conversed = Converse(target, &stream, &deadline, dialogue);
  ProbeAnswer answer = co_await std::move(conversed);
  answer.certificate_not_after_s = certificate.not_after_s;
  // Else OpenSSL never resumes a session whose connection was not closed in TLS.
  SSL_set_shutdown(stream.native_handle(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  co_return answer;
}

}  // namespace fairlead
