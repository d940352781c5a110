// What a reply of fairleadd says: JSON, or an error.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "controlplane/client/transport.h"
#include "lib/base/result.h"

namespace fairlead {

// The word of the API's errors, such as "stale_revision".
std::string_view ErrorWord(ErrorCode code);

// Of a reply whose HTTP status is 400 or more: the error in its body, else the status.
Status ErrorOfReply(const ControlReply& reply);

// The body, or the reply's error. A reply without a body gives what its headers say of the change,
// generation and in_force, and null where they say nothing. `request`: for messages, "GET /v1/status".
Result<nlohmann::json> JsonOfReply(const ControlReply& reply, std::string_view request);

}  // namespace fairlead
