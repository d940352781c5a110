#include "controlplane/observe/health/tls_contexts.h"

#include <openssl/ssl.h>
#include <utility>

#include "controlplane/common/ca_file.h"
#include "controlplane/common/log.h"

namespace fairlead {
namespace asio = boost::asio;

namespace {

// How often a CA file is looked at.
constexpr std::chrono::seconds kLookPeriod{1};
// Contexts of services that are gone stay until there are this many.
constexpr size_t kMaxTlsContexts = 1024;
// As are sessions, with about 6 KiB each.
constexpr size_t kMaxTlsSessions = 16 * 1024;
constexpr std::chrono::minutes kFullHandshakePeriod{1};

// The index of the TlsSession in the data of an SSL object.
int SessionIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// OpenSSL has a new session. 1: it is kept.
int KeepSession(SSL* ssl, SSL_SESSION* made) {
  auto* session = static_cast<TlsSession*>(SSL_get_ex_data(ssl, SessionIndex()));
  if (session == nullptr) return 0;
  session->Keep(made);
  return 1;
}

}  // namespace

std::string_view AlpnName(Alpn alpn) { return alpn == Alpn::kHttp2 ? "h2" : "http/1.1"; }

void TlsSession::Free::operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }

void TlsSession::Keep(SSL_SESSION* session) { session_.reset(session); }

bool TlsSession::IsOld() const {
  return session_ == nullptr || SteadyNow() >= full_handshake_at_ + kFullHandshakePeriod;
}

SSL_SESSION* TlsSession::Resumable() const {
  return !IsOld() && SSL_SESSION_is_resumable(session_.get()) == 1 ? session_.get() : nullptr;
}

void TlsContexts::UseSession(SSL* ssl, TlsSession* session) {
  SSL_set_ex_data(ssl, SessionIndex(), session);
  if (SSL_SESSION* resumable = session->Resumable()) SSL_set_session(ssl, resumable);
}

// Loads the texts of OpenSSL's errors, which also failures of an earlier process need.
TlsContexts::TlsContexts() { OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, nullptr); }

Result<std::shared_ptr<asio::ssl::context>> TlsContexts::Make(const std::string& ca_file,
                                                              Alpn alpn) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX* ssl = context->native_handle();
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  const std::string name(AlpnName(alpn));
  const std::string list = static_cast<char>(name.size()) + name;
  if (SSL_CTX_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(list.data()),
                              static_cast<unsigned>(list.size())) != 0) {
    return ResourceExhausted("out of memory for TLS");
  }
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ssl, KeepSession);
  if (ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(ssl);
    return context;
  }
  ASSIGN_OR_RETURN(CertificateStore store, LoadCaFile(ca_file));
  SSL_CTX_set_cert_store(ssl, store.release());  // takes ownership
  return context;
}

void TlsContexts::Refresh(const std::string& ca_file, Alpn alpn, Entry* entry) {
  const SteadyTime now = SteadyNow();
  if (entry->looked_at != SteadyTime{} && now < entry->looked_at + kLookPeriod) return;
  entry->looked_at = now;
  const std::string version = ca_file.empty() ? "" : FileVersion(ca_file);
  const bool is_known = entry->context != nullptr && version == entry->version;
  if (is_known) return;
  Result<std::shared_ptr<asio::ssl::context>> made = Make(ca_file, alpn);
  if (made.ok()) {
    entry->context = *std::move(made);
    entry->version = version;
    entry->sessions.clear();
    entry->complaint.clear();
    return;
  }
  if (entry->complaint == made.status().message()) return;
  entry->complaint = made.status().message();
  Log(LogLevel::kError, "ca_file_unreadable",
      {{"reason", entry->complaint},
       {"effect", entry->context == nullptr ? "its checks are not made"
                                            : "its checks use its last content"}});
}

std::shared_ptr<TlsSession> TlsContexts::SessionOf(const SessionKey& key, Entry* entry) {
  if (entry->sessions.size() >= kMaxTlsSessions && !entry->sessions.contains(key)) {
    std::erase_if(entry->sessions, [](const auto& each) { return each.second->IsOld(); });
    if (entry->sessions.size() >= kMaxTlsSessions) entry->sessions.clear();
  }
  std::shared_ptr<TlsSession>& session = entry->sessions[key];
  if (session == nullptr) session = std::make_shared<TlsSession>();
  return session;
}

Result<TlsClient> TlsContexts::Get(const TlsSettings& settings, Alpn alpn, const Endpoint& server) {
  // The file does not matter if nothing is verified.
  const std::string ca_file = settings.verify == TlsVerify::kNone ? "" : settings.ca_file;
  if (entries_.size() >= kMaxTlsContexts && !entries_.contains({ca_file, alpn})) entries_.clear();
  Entry& entry = entries_[{ca_file, alpn}];
  Refresh(ca_file, alpn, &entry);
  if (entry.context == nullptr) return FailedPrecondition(entry.complaint);
  return TlsClient{entry.context, SessionOf({server, settings.name, settings.verify}, &entry)};
}

}  // namespace fairlead
