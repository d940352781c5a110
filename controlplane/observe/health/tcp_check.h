// The probe of the check type `tcp`: opens a connection to the port and closes it at once.
#pragma once

#include "controlplane/observe/health/probe.h"

namespace fairlead {

boost::asio::awaitable<ProbeAnswer> ProbeTcp(ProbeTarget target);

}  // namespace fairlead
