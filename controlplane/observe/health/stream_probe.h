// Probes over TCP, with or without TLS: connects, runs a dialogue, and closes the connection. For
// the check types whose exchange is a Dialogue.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "controlplane/observe/health/dialogue.h"
#include "controlplane/observe/health/tls_contexts.h"
#include "lib/intent/checks/tls_settings.h"

namespace fairlead {

boost::asio::awaitable<ProbeAnswer> ProbeTcpStream(const ProbeTarget& target, Dialogue* dialogue);

// The certificate is verified as `settings` say. The probe fails if it has ended, unless nothing is
// verified. The answer has the certificate's end, also if the handshake failed.
boost::asio::awaitable<ProbeAnswer> ProbeTlsStream(const ProbeTarget& target,
                                                   const TlsSettings& settings, Alpn alpn,
                                                   TlsContexts* contexts, Dialogue* dialogue);

}  // namespace fairlead
