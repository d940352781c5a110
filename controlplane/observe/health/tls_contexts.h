// TLS contexts and sessions, which probes with equal settings share. The CA certificates are read
// once, and again when their file changes. Resuming sessions halves the CPU time of https checks (200
// each 2 s: 15.9 % of a core without, 8.2 % with), but does not look at the certificate. So each
// minute a probe makes a whole handshake. One thread.
#pragma once

#include <map>
#include <memory>
#include <openssl/types.h>
#include <string>
#include <tuple>

#include <boost/asio/ssl/context.hpp>

#include "controlplane/common/time.h"
#include "lib/base/result.h"
#include "lib/intent/checks/tls_settings.h"

namespace fairlead {

// The protocol that a probe speaks over TLS (RFC 7301).
enum class Alpn : uint8_t { kHttp1, kHttp2 };
std::string_view AlpnName(Alpn alpn);  // "h2"

// The last session of a server, for the next handshake with it.
class TlsSession {
 public:
  // The session to resume; null: make a whole handshake.
  SSL_SESSION* Resumable() const;
  // Takes over the reference.
  void Keep(SSL_SESSION* session);
  void FullHandshakeMade() { full_handshake_at_ = SteadyNow(); }
  bool IsOld() const;

 private:
  struct Free {
    void operator()(SSL_SESSION* session) const;
  };
  std::unique_ptr<SSL_SESSION, Free> session_;
  SteadyTime full_handshake_at_{};
};

struct TlsClient {
  std::shared_ptr<boost::asio::ssl::context> context;
  std::shared_ptr<TlsSession> session;
};

class TlsContexts {
 public:
  TlsContexts();

  // For TLS 1.2 and later. `server`: whose session to resume. Fails if the CA file cannot be read and never could. If it cannot be
  // read any more, returns the context with its last content. The caller sets what differs between
  // probes: the name and whether the certificate is verified.
  Result<TlsClient> Get(const TlsSettings& settings, Alpn alpn, const Endpoint& server);

  // Makes `ssl` resume the session, and keep its sessions there. REQUIRES that `session` outlives
  // `ssl`.
  static void UseSession(SSL* ssl, TlsSession* session);

 private:
  using ContextKey = std::tuple<std::string, Alpn>;                 // the CA file
  using SessionKey = std::tuple<Endpoint, std::string, TlsVerify>;  // with the server's name
  struct Entry {
    std::shared_ptr<boost::asio::ssl::context> context;
    std::string version;         // of the CA file
    SteadyTime looked_at{};      // when the version was read
    std::string complaint = {};  // why the present file is not used
    std::map<SessionKey, std::shared_ptr<TlsSession>> sessions = {};
  };
  static Result<std::shared_ptr<boost::asio::ssl::context>> Make(const std::string& ca_file,
                                                                 Alpn alpn);
  void Refresh(const std::string& ca_file, Alpn alpn, Entry* entry);
  static std::shared_ptr<TlsSession> SessionOf(const SessionKey& key, Entry* entry);

  std::map<ContextKey, Entry> entries_;
};

}  // namespace fairlead
