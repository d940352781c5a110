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

}  // namespace

std::string_view AlpnName(Alpn alpn) { return alpn == Alpn::kHttp2 ? "h2" : "http/1.1"; }

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

Result<std::shared_ptr<asio::ssl::context>> TlsContexts::Get(const TlsSettings& settings,
                                                             Alpn alpn) {
  // The file does not matter if nothing is verified.
  const std::string ca_file = settings.verify == TlsVerify::kNone ? "" : settings.ca_file;
  if (entries_.size() >= kMaxTlsContexts && !entries_.contains({ca_file, alpn})) entries_.clear();
  Entry& entry = entries_[{ca_file, alpn}];
  Refresh(ca_file, alpn, &entry);
  if (entry.context != nullptr) return entry.context;
  return FailedPrecondition(entry.complaint);
}

}  // namespace fairlead
