// The probe of `tcp`: a connection to the port opens, and is closed at once.
#pragma once

#include "controlplane/observe/health/probe.h"

namespace fairlead {

boost::asio::awaitable<ProbeAnswer> ProbeTcp(ProbeTarget target);

}  // namespace fairlead
