// Decodes a reply of fairleadd: JSON, or an error.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "controlplane/client/transport.h"
#include "lib/base/result.h"

namespace fairlead {

// The code as the API's errors spell it, such as "stale_revision".
std::string_view ApiErrorName(ErrorCode code);

// The error in the reply's body. Without one: an error that names the HTTP status. For replies with
// HTTP status 400 or more.
Status ErrorOfReply(const ControlReply& reply);

// The body, or the reply's error. For a reply without a body: generation and in_force from its
// headers; null if the headers are missing. `request`: for messages, such as "GET /v1/status".
Result<nlohmann::json> JsonOfReply(const ControlReply& reply, std::string_view request);

}  // namespace fairlead
