#include "controlplane/client/watch.h"

#include "controlplane/client/reply.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

constexpr size_t kMaxLineBytes = size_t{64} << 20;

bool IsRestart(const nlohmann::json& event) {
  if (!event.is_object()) return false;
  const auto type = event.find("type");
  return type != event.end() && *type == "restart";
}

}  // namespace

Status FollowWatch(Transport* transport, const std::string& from, const WatchEvent& event) {
  std::string begin = from;
  for (;;) {
    bool restart = false;
    const auto take_line = [&](const std::string& line) {
      const Result<nlohmann::json> json = ParseJson(line, kMaxLineBytes);
      if (!json.ok()) return true;
      const bool goes_on = event(*json, line);
      restart = goes_on && IsRestart(*json);
      return goes_on && !restart;
    };
    ASSIGN_OR_RETURN(const ControlReply reply, transport->Follow("/v1/watch", begin, take_line));
    if (reply.status >= 400) return ErrorOfReply(reply);
    if (!restart) return {};
    begin.clear();
  }
}

}  // namespace fairlead
