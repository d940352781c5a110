// Follows what changes: GET /v1/watch, begun again where fairleadd says so.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "controlplane/client/transport.h"
#include "lib/base/result.h"

namespace fairlead {

// One event, and the line that it came as. False: that was enough.
using WatchEvent = std::function<bool(const nlohmann::json& event, const std::string& line)>;

// Calls `event` for all that happens after the revision `from` (empty: from now on), as it comes. To a
// reader that was too slow fairleadd sends `restart` and ends the stream: then the watch begins anew, from
// now on, and what happened meanwhile is left out. Returns when `event` has had enough or fairleadd ends
// the stream; an error says why there is none.
Status FollowWatch(Transport* transport, const std::string& from, const WatchEvent& event);

}  // namespace fairlead
