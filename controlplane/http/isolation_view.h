// IsolationStatus as JSON, for /v1/status.
#pragma once

#include <nlohmann/json.hpp>

#include "controlplane/core/status_board.h"

namespace fairlead {

// Null while this host is not cut off from endpoints.
nlohmann::json IsolatedJson(const IsolationStatus& isolation);
// The last time at which half of all endpoints failed together; null: never.
nlohmann::json FailedTogetherJson(const IsolationStatus& isolation);

}  // namespace fairlead
