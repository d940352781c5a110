// Follows changes with GET /v1/watch, and starts it again when fairleadd asks for that.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "controlplane/client/transport.h"
#include "lib/base/result.h"

namespace fairlead {

// One event, and its line as received. Returns false to end the watch.
using WatchEvent = std::function<bool(const nlohmann::json& event, const std::string& line)>;

// Calls `event` for each event after the revision `from` (empty: from now on), as it arrives. A
// reader that was too slow receives `restart`, and fairleadd ends the stream. The watch then starts
// again from now on; the events in between are lost. Returns when `event` returns false or
// fairleadd ends the stream. An error says why there is no stream.
Status FollowWatch(Transport* transport, const std::string& from, const WatchEvent& event);

}  // namespace fairlead
