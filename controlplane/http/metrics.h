// /metrics: the control plane's and the dataplane's counters as Prometheus text.
#pragma once

#include <string>

#include "controlplane/http/api.h"

namespace fairlead {

std::string MetricsText(const Api& api);

}  // namespace fairlead
