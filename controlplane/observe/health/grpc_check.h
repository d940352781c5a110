// The probe of the check type `grpc`.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "controlplane/observe/health/probe.h"
#include "controlplane/observe/health/tls_contexts.h"

namespace fairlead {

boost::asio::awaitable<ProbeAnswer> ProbeGrpc(ProbeTarget target, TlsContexts* contexts);

}  // namespace fairlead
