// The API's objects as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "controlplane/http/api.h"

namespace fairlead {

nlohmann::json LeftOutFrontendJson(const LeftOutFrontend& frontend);
// Why the dataplane leaves the backend out, with the interface's name if known; empty if it is in
// use.
std::string LeftOutSentence(const BackendStatus& status);

// A port's name, interface and link.
nlohmann::json PortLinkJson(const PortLink& link);

nlohmann::json BackendView(const Api& api, const ServiceIntent& service,
                           const BackendIntent& backend);
nlohmann::json ServiceView(const Api& api, const ServiceIntent& service);
// REQUIRES backend.drain.
nlohmann::json DrainView(const Api& api, const ServiceIntent& service,
                         const BackendIntent& backend);
nlohmann::json StatusView(const Api& api);
nlohmann::json StatsView(const Api& api);
// The counters of one service, and when they were read.
nlohmann::json ServiceStatsView(const Api& api, const ServiceIntent& service);

}  // namespace fairlead
