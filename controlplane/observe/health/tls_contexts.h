// TLS contexts, which probes with equal settings share: the CA certificates are read once, and
// again when their file changes. One thread.
#pragma once

#include <map>
#include <memory>
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

class TlsContexts {
 public:
  TlsContexts();

  // The context for TLS 1.2 and later. Fails if the CA file cannot be read and never could. If it
  // cannot be read any more, returns the context with its last content. The caller sets what
  // differs between probes: the name and whether the certificate is verified.
  Result<std::shared_ptr<boost::asio::ssl::context>> Get(const TlsSettings& settings, Alpn alpn);

 private:
  using Key = std::tuple<std::string, Alpn>;  // the CA file
  struct Entry {
    std::shared_ptr<boost::asio::ssl::context> context;
    std::string version;         // of the CA file
    SteadyTime looked_at{};      // when the version was read
    std::string complaint = {};  // why the present file is not used
  };
  static Result<std::shared_ptr<boost::asio::ssl::context>> Make(const std::string& ca_file,
                                                                 Alpn alpn);
  void Refresh(const std::string& ca_file, Alpn alpn, Entry* entry);

  std::map<Key, Entry> entries_;
};

}  // namespace fairlead
