// The probes of the check types `http` and `https`.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "controlplane/observe/health/probe.h"
#include "controlplane/observe/health/tls_contexts.h"

namespace fairlead {

boost::asio::awaitable<ProbeAnswer> ProbeHttp(ProbeTarget target);
boost::asio::awaitable<ProbeAnswer> ProbeHttps(ProbeTarget target, TlsContexts* contexts);

}  // namespace fairlead
