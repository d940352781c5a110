// The probe of the check type `udp`: sends a datagram, and passes with the reply.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "controlplane/observe/health/probe.h"

namespace fairlead {

boost::asio::awaitable<ProbeAnswer> ProbeUdp(ProbeTarget target);

}  // namespace fairlead
